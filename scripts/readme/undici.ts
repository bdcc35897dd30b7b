/** What the READMEs' code is given as undici, by which a directory fetches: the process's own fetch, for which hosts are replaced. */
export const fetch = (url: string, { dispatcher: _agent, ...init }: RequestInit & { readonly dispatcher?: unknown }): Promise<Response> => globalThis.fetch(url, init)

/** There is nothing to guard: all is on this machine. */
export class Agent {
  async destroy(): Promise<void> {}
}
