/** Samplers: from a scheduler_config.json of any diffusers class to the steps of one run. */
export {
  correctedForStableDiffusion,
  parseSchedulerConfig,
  parseSchedulerJson,
  samplerOfConfig,
  type SchedulerConfig,
} from './config.ts'
export { createScheduler, type SchedulerOptions, startStep } from './create.ts'
export { guidanceRescale } from './guidance-rescale.ts'
export {
  type PredictionType,
  predictionTypes,
  type SamplerId,
  type Scheduler,
  samplerIds,
  type StepResult,
} from './scheduler.ts'
