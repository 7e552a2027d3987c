// A peer of a Kademlia: connects to one address, from there on it finds and is found.
//
//   node kad.mjs ADDRESS PROTOCOL
import { kadDHT, passthroughMapper } from '@libp2p/kad-dht'
import { peerIdFromString } from '@libp2p/peer-id'
import { multiaddr } from '@multiformats/multiaddr'
import { obey, say } from './lines.mjs'
import { start } from './peer.mjs'

const [address, protocol] = process.argv.slice(2)
const SECONDS = 20
const node = await start(['/ip4/127.0.0.1/tcp/0'], {
  dht: kadDHT({ protocol, clientMode: false, peerInfoMapper: passthroughMapper })
})
await node.dial(multiaddr(address))

// Ask the peers at hand, and those they name, for one peer; its addresses, or null where nobody knows it.
async function find ({ peer }) {
  const signal = AbortSignal.timeout(1000 * SECONDS)
  try {
    for await (const event of node.services.dht.findPeer(peerIdFromString(peer), { signal })) {
      if (event.name === 'FINAL_PEER') return event.peer.multiaddrs.map(String)
    }
  } catch (error) {
    if (error.name !== 'NotFoundError') throw error
  }
  return null
}

say({ peer: node.peerId.toString() })
await obey({
  find,
  dial: async ({ peer }) => (await node.dial(peerIdFromString(peer))).remotePeer.toString(),
  table: () => node.services.dht.routingTable.size,
  callers: () => node.getConnections().filter(each => each.direction === 'inbound').map(each => each.remotePeer.toString())
})
