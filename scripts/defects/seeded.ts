import type { Defect } from './defect.ts'
import { kafkaDefects } from './kafka.ts'
import { rabbitmqDefects } from './rabbitmq.ts'

/** The packages whose mistakes are written by hand. */
export const SEEDED: Readonly<Record<string, readonly Defect[]>> = { kafka: kafkaDefects, rabbitmq: rabbitmqDefects }
