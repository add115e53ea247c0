/** Random numbers: the noise that people know by its seed, the same bits on every machine. */
export { PhiloxGenerator } from './philox.ts'
export { slerpNoise } from './slerp.ts'
export { type GaussianSource, gaussianSource, type RandomKind, randomKinds } from './source.ts'
export { TorchCpuGenerator } from './torch-cpu.ts'
