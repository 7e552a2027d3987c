// Leads one port to another as soon as the script runs: so a test says from when on a peer can be reached.
//
//   node door.mjs PORT TARGET_PORT
import net from 'node:net'
import { obey, say } from './lines.mjs'

const [port, target] = process.argv.slice(2).map(Number)
const server = net.createServer(near => {
  const far = net.connect(target, '127.0.0.1')
  near.on('error', () => far.destroy()).pipe(far)
  far.on('error', () => near.destroy()).pipe(near)
})
server.listen(port, '127.0.0.1', () => say({ port }))
await obey({})
