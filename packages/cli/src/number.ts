/** A number for people: whole, with commas. */
export function number(value: number): string {
  return Math.round(value).toLocaleString('en')
}
