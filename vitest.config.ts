import { defineConfig } from 'vitest/config'

/**
 * Three projects: `unit` needs nothing but Node; `gpu` needs a WebGPU adapter (Dawn through the `webgpu`
 * package) and runs its files one after another, because software adapters share the processor; `e2e` drives a
 * Chromium, and is skipped, with the reason, where there is none.
 */
export default defineConfig({
  test: {
    testTimeout: 120_000,
    hookTimeout: 120_000,
    projects: [
      {
        extends: true,
        test: {
          name: 'unit',
          include: ['test/**/*.test.ts'],
          exclude: ['test/**/*.gpu.test.ts', 'test/**/*.e2e.test.ts'],
        },
      },
      {
        extends: true,
        test: {
          name: 'gpu',
          include: ['test/**/*.gpu.test.ts'],
          pool: 'forks',
          execArgv: ['--expose-gc'],
          fileParallelism: false,
          // A cold software driver compiles each pipeline for up to several seconds.
          testTimeout: 600_000,
          hookTimeout: 300_000,
        },
      },
      {
        extends: true,
        test: {
          name: 'e2e',
          include: ['test/**/*.e2e.test.ts'],
          pool: 'forks',
          fileParallelism: false,
          testTimeout: 600_000,
          hookTimeout: 300_000,
        },
      },
    ],
  },
})
