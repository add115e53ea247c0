/** The words of `attune maps`; what they do stands in `commands/maps.ts`, loaded when it runs. */
import { Command } from 'commander'
import { mapFormats, normalisations } from '../host/maps/options.ts'
import { colormaps } from '../model/image/colormap.ts'
import type { MapsOpenOptions } from './commands/maps.ts'
import type { CommandIO } from './io.ts'

/** `attune maps`, with its actions. */
export function mapsCommand(io: CommandIO): Command {
  const maps = new Command('maps').description('word maps of a recorded picture, without the model')
  const opening = maps
    .command('open')
    .description('export maps from an attention recording')
    .argument('<file>', 'a recording (.safetensors)')
    .requiredOption('--out <dir>', 'where to write; what is there stays')
    .option('--format <list>', mapFormats.join(', '), 'png,json')
    .option('--words <list>', 'only these words, with commas (default: all)')
    .option('--layers <list>', 'also a map per layer: paths, beginnings of paths, or all')
    .option('--heads <list>', 'also a map per head: numbers from 0, or all')
    .option('--colormap <name>', colormaps.join(', '), 'viridis')
    .option('--normalise <how>', `${normalisations.join(', ')}: each map, all alike, or 0 to 1`, 'minmax')
    .option('--image <file>', 'the picture, for overlays')
    .option('--patches <p>', 'figure: p×p patches instead of every position')
    .option('--overwrite', 'replace files that are there')
    .option('--json', 'one JSON line')
  opening.action(async (file: string) => {
    const { openMaps } = await import('./commands/maps.ts')
    await openMaps(file, opening.opts<MapsOpenOptions>(), io)
  })
  const inspecting = maps
    .command('inspect')
    .description('what an attention recording holds')
    .argument('<file>', 'a recording (.safetensors)')
    .option('--json', 'one JSON line')
  inspecting.action(async (file: string) => {
    const { inspectMaps } = await import('./commands/maps.ts')
    await inspectMaps(file, inspecting.opts<{ json?: boolean }>().json === true, io)
  })
  return maps
}
