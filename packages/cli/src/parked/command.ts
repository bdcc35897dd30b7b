import { Command } from 'commander'
import { listCommand } from './list-command.ts'
import { redriveCommand } from './redrive-command.ts'
import { whyCommand } from './why-command.ts'

/** `sealbus parked`: what consumers could not open, and kept. */
export function parkedCommand(): Command {
  const parked = new Command('parked')
    .description('look at messages that could not be opened, and bring them back')
    .addHelpText('after', `
A parking place is --topic on Kafka or --queue on RabbitMQ. With --json, stdout is one JSON document.`)
  for (const command of [listCommand(), whyCommand(), redriveCommand()]) parked.addCommand(command)
  return parked
}
