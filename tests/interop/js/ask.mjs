// A client of a Hera node: connects once, then asks what the test says.
//
//   node ask.mjs ADDRESS CHAIN_ID
import { multiaddr } from '@multiformats/multiaddr'
import { obey, say } from './lines.mjs'
import { encodeRequest, protocolOf, read } from './messages.mjs'
import { readAll, send, start } from './peer.mjs'

const [address, chainId] = process.argv.slice(2)
const node = await start([])
const identified = new Promise(resolve => node.addEventListener('peer:identify', resolve, { once: true }))
const connection = await node.dial(multiaddr(address))
const STREAMS = { maxOutboundStreams: 1024 }

function open (part) {
  return connection.newStream(protocolOf(chainId, part), STREAMS)
}

async function ask ({ part, iteration }) {
  const stream = await open(part)
  await send(stream, encodeRequest(part, iteration))
  await stream.close()
  return read(part, await readAll(stream))
}

async function askAtOnce ({ questions }) {
  const ends = await Promise.allSettled(questions.map(ask))
  return ends.map(({ value, reason }) => value ? { value } : { error: reason.name })
}

// Take no byte for a while, so that the window fills up and the server must wait.
async function askSlowly ({ part, iteration, pauseSeconds }) {
  const stream = await open(part)
  const answer = readAll(stream)
  stream.pause()
  await send(stream, encodeRequest(part, iteration))
  await stream.close()
  await new Promise(resolve => setTimeout(resolve, 1000 * pauseSeconds))
  const held = stream.readBufferLength
  stream.resume()
  return { held, ...read(part, await answer) }
}

// Send the request in two pieces with a ping between: nothing may be answered before the half-close.
async function askInPieces ({ part, iteration }) {
  const stream = await open(part)
  const request = encodeRequest(part, iteration)
  for (const piece of [request.subarray(0, 1), request.subarray(1)]) {
    await send(stream, piece)
    await node.services.ping.ping(connection.remotePeer)
  }
  const early = stream.readBufferLength
  await stream.close()
  return { early, ...read(part, await readAll(stream)) }
}

// As go-libp2p does where it knows the protocol: header, name, request and FIN without waiting for an answer.
async function askLazily ({ part, iteration }) {
  const stream = await connection.muxer.createStream()
  const lines = ['/multistream/1.0.0\n', `${protocolOf(chainId, part)}\n`].map(line => Buffer.from(`${String.fromCharCode(line.length)}${line}`))
  await send(stream, Buffer.concat([...lines, encodeRequest(part, iteration)]))
  await stream.close()
  const answer = await readAll(stream)
  const negotiation = Buffer.concat(lines)
  const agreed = negotiation.equals(answer.subarray(0, negotiation.length))
  return { agreed, ...read(part, answer.subarray(agreed ? negotiation.length : answer.length)) }
}

async function abandon ({ part, iteration }) {
  const stream = await open(part)
  await send(stream, encodeRequest(part, iteration))
  await stream.close()
  for await (const chunk of stream) {
    stream.abort(new Error('as the test wants it'))
    return { bytes: chunk.byteLength }
  }
}

async function sendRaw ({ part, hex }) {
  const stream = await open(part)
  await send(stream, Buffer.from(hex, 'hex'))
  await stream.close()
  return read(part, await readAll(stream))
}

async function identify () {
  const known = await node.peerStore.get(connection.remotePeer)
  return { protocols: known.protocols, agent: new TextDecoder().decode(known.metadata.get('AgentVersion')) }
}

say({ peer: node.peerId.toString() })
await obey({
  ask,
  askSlowly,
  askInPieces,
  askLazily,
  abandon,
  sendRaw,
  askAtOnce,
  identify: async () => identified.then(identify),
  ping: async () => ({ milliseconds: await node.services.ping.ping(connection.remotePeer) })
})
