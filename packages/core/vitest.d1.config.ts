import { mergeConfig } from 'vitest/config'
import config from './vitest.config.ts'
export default mergeConfig({ ...config, test: { ...config.test, include: [] } }, { test: { include: (process.env['D1_TESTS'] ?? '').split(',').map((n) => `test/${n}.test.ts`) } })
