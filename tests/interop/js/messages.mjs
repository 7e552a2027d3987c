// The messages of the five sync protocols, read from Hera's own sync.proto by a library that is not Hera's.
import { createHash } from 'node:crypto'
import { fileURLToPath } from 'node:url'
import protobuf from 'protobufjs'

const PROTO = fileURLToPath(new URL('../../../starknet/wire/sync.proto', import.meta.url))
const NAMES = {
  headers: 'BlockHeaders',
  state_diffs: 'StateDiffs',
  classes: 'Classes',
  transactions: 'Transactions',
  events: 'Events'
}
const root = await new protobuf.Root().load(PROTO, { keepCase: true })

export const PARTS = Object.keys(NAMES)

export function protocolOf (chainId, part) {
  return `/starknet/${chainId}/sync/${part}/0.1.0-rc.0`
}

export function encodeRequest (part, iteration) {
  const type = root.lookupType(`hera.sync.${NAMES[part]}Request`)
  return type.encode(type.fromObject({ iteration })).finish()
}

export function decodeRequest (part, bytes) {
  const type = root.lookupType(`hera.sync.${NAMES[part]}Request`)
  return type.toObject(type.decode(bytes), { longs: Number }).iteration
}

export function fin (part) {
  const type = root.lookupType(`hera.sync.${NAMES[part]}Response`)
  return delimited(type.encode(type.fromObject({ fin: {} })).finish())
}

export function delimited (payload) {
  return Buffer.concat([protobuf.Writer.create().uint32(payload.length).finish(), payload])
}

// What an answer says, and the digest of its bytes before the first Fin.
export function read (part, bytes) {
  const type = root.lookupType(`hera.sync.${NAMES[part]}Response`)
  const kind = type.oneofsArray[0].name
  const reader = protobuf.Reader.create(bytes)
  const told = { messages: 0, kinds: {}, numbers: [], afterFin: 0, finished: false }
  let end = bytes.length
  while (reader.pos < reader.len) {
    const start = reader.pos
    const message = type.decode(reader.bytes())
    if (told.finished) {
      told.afterFin += 1
    } else if (message[kind] === 'fin') {
      told.finished = true
      end = start
    } else {
      told.messages += 1
      told.kinds[message[kind]] = (told.kinds[message[kind]] ?? 0) + 1
      if (message.header) told.numbers.push(Number(message.header.number))
    }
  }
  return { ...told, bytes: bytes.length, sha256: createHash('sha256').update(bytes.subarray(0, end)).digest('hex') }
}
