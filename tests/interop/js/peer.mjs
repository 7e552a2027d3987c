// What every peer of these tests is made of: TCP, Noise, Yamux, Identify and Ping; `more` are further services.
import './resolvers.mjs'
import { identify } from '@libp2p/identify'
import { noise } from '@libp2p/noise'
import { ping } from '@libp2p/ping'
import { tcp } from '@libp2p/tcp'
import { yamux } from '@libp2p/yamux'
import { createLibp2p } from 'libp2p'

const WINDOW_BYTES = 256 * 1024 // the least that Yamux has: a reader that pauses soon holds its sender up

export function start (listen, more = {}) {
  return createLibp2p({
    addresses: { listen },
    transports: [tcp()],
    connectionEncrypters: [noise()],
    streamMuxers: [yamux({ streamOptions: { maxStreamWindowSize: WINDOW_BYTES } })],
    services: { identify: identify(), ping: ping(), ...more }
  })
}

export async function send (stream, bytes) {
  if (!stream.send(bytes)) await stream.onDrain()
}

export async function readAll (stream) {
  const chunks = []
  for await (const chunk of stream) chunks.push(chunk.subarray())
  return Buffer.concat(chunks)
}
