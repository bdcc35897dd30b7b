/** A mistake that somebody could make in an adapter, and the test that must notice it. */
export interface Defect {
  readonly name: string
  /** What it would cost. */
  readonly why: string
  /** In the package's `src`. */
  readonly file: string
  /** Stands in the file exactly once: a refactoring that moves it must look at the defect again. */
  readonly search: string
  readonly replace: string
  /** In the package's `test`, and the title of a test in it. */
  readonly test: readonly [file: string, title: string]
}
