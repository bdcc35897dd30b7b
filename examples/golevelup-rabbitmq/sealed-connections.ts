/** `@golevelup/nestjs-rabbitmq` has no factory to override: each of its connections is sealed where it keeps it. */
import { AmqpConnection } from '@golevelup/nestjs-rabbitmq'
import { sealAmqp, type SealAmqpOptions } from '@sealbus/rabbitmq'
import type { AmqpConnectionManager } from 'amqp-connection-manager'

/**
 * Call it once, before the application is created. `optionsFor` is given the name of a connection.
 * A release that keeps its connection elsewhere fails at its start, rather than to send anything plain.
 */
export function sealConnections(optionsFor: (name: string) => SealAmqpOptions): void {
  const init: (this: AmqpConnection) => Promise<void> = Reflect.get(AmqpConnection.prototype, 'init')
  AmqpConnection.prototype.init = async function (this: AmqpConnection): Promise<void> {
    let sealed: AmqpConnectionManager | undefined
    Object.defineProperty(this, '_managedConnection', {
      get: () => sealed,
      set: (manager: AmqpConnectionManager) => {
        sealed = sealAmqp(manager, optionsFor(this.configuration.name))
      },
    })
    const ready = init.call(this)
    if (sealed === undefined) throw new Error('this release of @golevelup/nestjs-rabbitmq makes its connection in another way')
    await ready
  }
}
