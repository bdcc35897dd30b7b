/**
 * A text of 1 to so many characters (UTF-16 code units) that has a UTF-8 form: half a surrogate pair has none, and other
 * languages read another text in its place.
 */
export function isText(value: unknown, longest: number = Infinity): value is string {
  return typeof value === 'string' && value !== '' && value.length <= longest && value.isWellFormed()
}
