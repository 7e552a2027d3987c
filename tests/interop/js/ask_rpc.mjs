// starknet.js as a wallet or an indexer uses it: its methods by name, and what came of each subscription when asked.
import { RpcProvider, WebSocketChannel, config } from 'starknet'
import { obey, say } from './lines.mjs'

const [url] = process.argv.slice(2)
config.set('logLevel', 'OFF') // it would speak on the line of answers
const provider = await RpcProvider.create({ nodeUrl: url })
let channel
const subscriptions = new Map()

async function connected () {
  channel ??= new WebSocketChannel({ nodeUrl: url.replace('http', 'ws'), autoReconnect: false })
  await channel.waitForConnection()
  return channel
}

function namesOf (prototype, start) {
  return Object.getOwnPropertyNames(prototype).filter(name => name.startsWith(start))
}

function given (value) {
  return value ?? undefined // what JSON has no word for
}

say({ version: provider.readSpecVersion() ?? null })
await obey({
  names: () => ({
    calls: Object.getOwnPropertyNames(RpcProvider.prototype),
    subscriptions: namesOf(WebSocketChannel.prototype, 'subscribe')
  }),
  call: ({ method, values }) => provider[method](...values.map(given)),
  batch: async ({ calls }) => {
    const batching = new RpcProvider({ nodeUrl: url, batch: 5 })
    return await Promise.all(calls.map(([method, ...values]) => batching[method](...values.map(given))))
  },
  subscribe: async ({ method, values }) => {
    const subscription = await (await connected())[method](values)
    const heard = []
    subscription.on(result => heard.push(result))
    subscriptions.set(subscription.id, { subscription, heard })
    return subscription.id
  },
  heard: ({ id }) => subscriptions.get(id).heard,
  unsubscribe: ({ id }) => subscriptions.get(id).subscription.unsubscribe()
})
