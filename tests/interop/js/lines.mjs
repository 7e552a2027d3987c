// How a script speaks with the test that started it: one line of JSON for each command, one for each answer.
import { createInterface } from 'node:readline'

export function say (answer) {
  process.stdout.write(JSON.stringify(answer, numbers) + '\n')
}

function numbers (_, value) {
  return typeof value === 'bigint' ? '0x' + value.toString(16) : value
}

// Do what each line says, one after the other; end with the input, so that no script outlives its test.
export async function obey (commands) {
  for await (const line of createInterface({ input: process.stdin })) {
    const { do: name, ...given } = JSON.parse(line)
    try {
      say({ done: (await commands[name](given)) ?? null })
    } catch (error) {
      say({ error: error.name, why: String(error.message), code: error.code })
    }
  }
  process.exit(0)
}
