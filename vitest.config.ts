import { defineConfig } from 'vitest/config'

/**
 * Two projects: `unit` needs nothing but Node; `gpu` needs a WebGPU adapter (Dawn through the `webgpu`
 * package) and runs its files one after another, because software adapters share the processor.
 */
export default defineConfig({
  test: {
    testTimeout: 120_000,
    hookTimeout: 120_000,
    projects: [
      { extends: true, test: { name: 'unit', include: ['test/**/*.test.ts'], exclude: ['test/**/*.gpu.test.ts'] } },
      {
        extends: true,
        test: {
          name: 'gpu',
          include: ['test/**/*.gpu.test.ts'],
          pool: 'forks',
          fileParallelism: false,
          // A cold software driver compiles each pipeline for up to several seconds.
          testTimeout: 300_000,
          hookTimeout: 300_000,
        },
      },
    ],
  },
})
