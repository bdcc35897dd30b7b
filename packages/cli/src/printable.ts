/** Text of others for a terminal: without what would move its cursor, colour it, or turn the direction of what follows. */
export function printable(text: string): string {
  return text.replaceAll(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, '\ufffd')
}
