/**
 * What a client has sent and the broker has not read: in order, and always later than the call that sent it, as over a
 * socket. Whatever the broker answers, it answers from here.
 */
export interface Wire {
  send(request: () => void): void
}

export function createWire(): Wire {
  let sent: (() => void)[] = []
  const read = (): void => {
    const requests = sent
    sent = []
    for (const [index, request] of requests.entries()) {
      try {
        request()
      } catch (error) {
        // A listener threw: as with a socket, that is an uncaught error, and what follows is read all the same.
        sent = [...requests.slice(index + 1), ...sent]
        if (sent.length > 0) setImmediate(read)
        throw error
      }
    }
  }
  return {
    send(request): void {
      sent.push(request)
      if (sent.length === 1) setImmediate(read)
    },
  }
}
