// A peer that serves a chain by the five sync protocols: honestly, or with one lie about one part.
//
//   node serve.mjs FOLDER CHAIN_ID [LIE PART]
//
// FOLDER/PART/NUMBER holds the delimited messages of one part of one block, FOLDER/hashes.json the hashes of the blocks.
// Requests for one header are answered honestly: so a liar passes for a peer with a head, and is asked for ranges.
import { readFileSync } from 'node:fs'
import { obey, say } from './lines.mjs'
import { PARTS, decodeRequest, delimited, fin, protocolOf } from './messages.mjs'
import { readAll, send, start } from './peer.mjs'

const [folder, chainId, lie, liedPart] = process.argv.slice(2)
const hashes = JSON.parse(readFileSync(`${folder}/hashes.json`))
const asked = Object.fromEntries(PARTS.map(part => [part, 0]))
const DRIP_MS = 200
let lies = 0

function numbersOf (iteration) {
  const stride = iteration.direction === 1 ? -iteration.step : iteration.step
  const start = iteration.header ? numberOf(iteration.header) : iteration.block_number ?? 0
  const numbers = []
  for (let at = start; at >= 0 && at < hashes.length && numbers.length < iteration.limit; at += stride) numbers.push(at)
  return numbers
}

function numberOf (header) {
  return hashes.indexOf(Buffer.from(header.elements).toString('hex').padStart(64, '0'))
}

const ANSWERS = {
  async honest (stream, part, blocks) {
    for (const block of blocks) await send(stream, block)
    await send(stream, fin(part))
    await stream.close()
  },
  async 'a message after Fin' (stream, part, blocks) {
    for (const block of [...blocks, fin(part), ...blocks]) await send(stream, block)
    await stream.close()
  },
  async 'no Fin' (stream, part, blocks) {
    for (const block of blocks) await send(stream, block)
    await stream.close()
  },
  async 'a length beyond the limit' (stream) {
    await send(stream, Buffer.from([0xff, 0xff, 0xff, 0x7f, 0x0a]))
  },
  async 'an endless drip' (stream, part, blocks) {
    const bytes = Buffer.concat(blocks)
    for (let at = 0; at < bytes.length && stream.status === 'open'; at++) {
      await send(stream, bytes.subarray(at, at + 1))
      await new Promise(resolve => setTimeout(resolve, DRIP_MS))
    }
  },
  async garbage (stream, part, blocks) {
    for (const block of blocks) await send(stream, delimited(Buffer.alloc(block.length || 1, 0xff)))
    await send(stream, fin(part))
    await stream.close()
  },
  async 'a reset in mid-answer' (stream, part, blocks) {
    await send(stream, Buffer.concat(blocks.slice(0, blocks.length / 2)))
    stream.abort(new Error('as the test wants it'))
  },
  async 'death in mid-answer' (stream, part, blocks) {
    await send(stream, Buffer.concat(blocks.slice(0, blocks.length / 2)))
    process.kill(process.pid, 'SIGKILL')
  },
  async 'an empty answer' (stream, part) {
    await ANSWERS.honest(stream, part, [])
  },
  async 'another order' (stream, part, blocks) {
    await ANSWERS.honest(stream, part, [...blocks.slice(-1), ...blocks.slice(0, -1)])
  }
}

async function answer (part, stream) {
  try {
    const iteration = decodeRequest(part, await readAll(stream))
    asked[part] += 1
    const isLie = part === liedPart && (part !== 'headers' || iteration.limit > 1)
    const blocks = numbersOf(iteration).map(number => readFileSync(`${folder}/${part}/${number}`))
    if (isLie) lies += 1
    await ANSWERS[isLie ? lie : 'honest'](stream, part, blocks)
  } catch (error) {
    stream.abort(error) // the other side went away, or sent no request
  }
}

const node = await start(['/ip4/127.0.0.1/tcp/0'])
for (const part of PARTS) {
  await node.handle(protocolOf(chainId, part), stream => answer(part, stream), { maxInboundStreams: 256 })
}
say({ address: node.getMultiaddrs()[0].toString(), peer: node.peerId.toString() })
await obey({ counts: () => ({ asked, lies }) })
