import { type Channels, defineChannels } from '@sealbus/core'

/** The topics, of which the names begin with `prefix`. Requests, replies and events are channels like any others. */
export function ordersOf(prefix: string): { readonly total: string; readonly placed: string; readonly channels: Channels } {
  const [total, placed] = [`${prefix}.total`, `${prefix}.placed`]
  const channels = defineChannels({
    [total]: {
      to: ['billing'],
      // Where a reply goes, and to which request it belongs, cannot be changed on the way.
      bind: { headers: ['kafka_correlationId', 'kafka_replyTopic', 'kafka_replyPartition'] },
    },
    // Who may read a reply stands here, and not in the request.
    [`${total}.reply`]: { to: ['shop'], bind: { headers: ['kafka_correlationId'] } },
    [placed]: { to: ['billing'] },
  })
  return { total, placed, channels }
}
