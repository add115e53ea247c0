import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import sharp from 'sharp'
import { describe, expect, it } from 'vitest'
import { canDrawText, encodeFigure } from '../../host/maps/encode.ts'
import { exportMaps } from '../../host/maps/export.ts'
import { tokenFigure } from '../../host/maps/figures.ts'
import { checkMapsFolder } from '../../host/maps/folder.ts'
import { mapNames, safeStem } from '../../host/maps/names.ts'
import { type MapFormat, mapFormats } from '../../host/maps/options.ts'
import { writeCsv } from '../../host/maps/report.ts'
import { markSpot, spotName } from '../../host/maps/spot.ts'
import { crc32, writeZip } from '../../host/maps/zip.ts'
import { daamMaps, daamWordMap } from '../../model/attention/daam.ts'
import { mapsOverSteps } from '../../model/attention/named-maps.ts'
import { attentionReport } from '../../model/attention/report.ts'
import { readRecording } from '../../model/attention/recording.ts'
import { memorySource } from '../../model/contract/bytes.ts'
import { readNpy } from '../../model/tensor/npy.ts'
import { readSafetensorsHeader } from '../../model/weights/safetensors.ts'
import { temporaryFolder } from '../cli/support.ts'
import { storybookGrids, syntheticCapture, syntheticSteps, type SyntheticGrid } from '../support/attention.ts'

const wide: SyntheticGrid[] = [
  { path: 'down_blocks.0.attentions.0.transformer_blocks.0.attn2', height: 8, width: 12, numHeads: 2 },
  { path: 'mid_block.attentions.0.transformer_blocks.0.attn2', height: 4, width: 6, numHeads: 2 },
]
const size = { width: 96, height: 64 }
const captured = syntheticCapture(wide, size)
const image = { ...size, channels: 3 as const, data: new Uint8Array(96 * 64 * 3).fill(180) }
const perStep = syntheticSteps(captured, 12, 8)

describe('exporting maps', () => {
  it('writes every format, each readable and of the right shape', async () => {
    const folder = join(await temporaryFolder(), 'deep', 'maps')
    const words = ['car', 'lighthouse']
    const { files, report } = await exportMaps(captured, {
      folder,
      formats: mapFormats,
      words,
      image,
      perStep,
      patches: 4,
    })
    const written = await readdir(folder)
    expect(written.toSorted()).toEqual(files.map(file => file.slice(folder.length + 1)).toSorted())
    expect(written.some(name => name.endsWith('.tmp'))).toBe(false)
    const at = (name: string) => join(folder, name)

    expect(await sharp(at('car.png')).metadata()).toMatchObject({ ...size, channels: 3, depth: 'uchar' })
    expect(await sharp(at('car.overlay.png')).metadata()).toMatchObject(size)
    expect(await sharp(at('car.16.png')).metadata()).toMatchObject({
      width: 12,
      height: 8,
      depth: 'ushort',
      channels: 1,
    })
    const animation = await sharp(at('car.webp'), { animated: true }).metadata()
    expect(animation).toMatchObject({ pages: 4, pageHeight: 64, width: 96, loop: 0 })

    const npy = readNpy(await readFile(at('car.npy')))
    expect(npy.shape).toEqual([8, 12])
    const manifest = JSON.parse(await readFile(at('manifest.json'), 'utf8')) as {
      maps: { name: string; range: { low: number; high: number } }[]
      files: string[]
      colormap: string
      normalise: string
    }
    expect(manifest).toMatchObject({ colormap: 'viridis', normalise: 'minmax', width: 96, height: 64 })
    expect(manifest.files).toEqual(files.map(file => file.slice(folder.length + 1)))
    // The 16-bit picture gives the probabilities back through the manifest's scale.
    const { low, high } = manifest.maps[0]!.range
    const grey = await sharp(at('car.16.png')).toColourspace('grey16').raw({ depth: 'ushort' }).toBuffer()
    const values = new Uint16Array(grey.buffer, grey.byteOffset, grey.length / 2)
    npy.data.forEach((value, index) =>
      expect(Math.abs(low + ((values[index] as number) / 65_535) * (high - low) - value)).toBeLessThan(
        (high - low) / 65_535,
      ),
    )

    const header = await readSafetensorsHeader(memorySource('maps', await readFile(at('maps.safetensors'))))
    expect(header.tensors.get('car')?.shape).toEqual([8, 12])
    const recording = await readRecording(memorySource('r', await readFile(at('recording.safetensors'))))
    expect(recording.captured).toEqual(captured)
    expect(recording.perStep).toEqual(perStep)
    expect((await readFile(at('report.csv'), 'utf8')).split('\r\n')).toHaveLength(4)
    expect(JSON.parse(await readFile(at('report.json'), 'utf8'))).toMatchObject({ report })
    // The car lies where it was put.
    const [car] = report.words
    expect(car?.word).toBe('car')
    expect(Math.abs((car?.peakAt.x as number) / 96 - 0.3)).toBeLessThan(0.1)
    expect(Math.abs((car?.peakAt.y as number) / 64 - 0.7)).toBeLessThan(0.1)
  })

  it('finds the hot place of the picture where the map has it, in every direction', async () => {
    const folder = await temporaryFolder()
    await exportMaps(captured, { folder, formats: ['png'], words: ['car'], colormap: 'grey' })
    const { data } = await sharp(join(folder, 'car.png'))
      .greyscale()
      .raw()
      .toBuffer({ resolveWithObject: true })
    const hottest = data.indexOf(data.reduce((most, value) => Math.max(most, value), 0))
    expect(Math.abs((hottest % 96) / 96 - 0.3)).toBeLessThan(0.15)
    expect(Math.abs(Math.floor(hottest / 96) / 64 - 0.7)).toBeLessThan(0.15)
  })

  it('adds layers and heads under readable names, and normalises as asked', async () => {
    const folder = await temporaryFolder()
    const { files } = await exportMaps(captured, {
      folder,
      formats: ['npy'],
      words: ['car', 'a'],
      layers: ['mid_block'],
      heads: 'all',
      normalise: 'shared',
    })
    expect(files.map(file => file.slice(folder.length + 1))).toContain(
      'car.mid_block.attentions.0.head-1.npy',
    )
    expect(files.map(file => file.slice(folder.length + 1))).toContain('a-2.npy')
    const manifest = JSON.parse(await readFile(join(folder, 'manifest.json'), 'utf8')) as {
      maps: { range: object }[]
    }
    expect(new Set(manifest.maps.map(map => JSON.stringify(map.range))).size).toBe(1)
  })

  it('leaves what is in the folder, and refuses a taken name before writing anything', async () => {
    const folder = await temporaryFolder()
    await writeFile(join(folder, 'mine.txt'), 'mine')
    await writeFile(join(folder, 'report.csv'), 'old')
    const options = { folder, formats: ['png', 'csv'] as MapFormat[] }
    await expect(exportMaps(captured, options)).rejects.toMatchObject({ code: 'bad-argument' })
    expect((await readdir(folder)).toSorted()).toEqual(['mine.txt', 'report.csv'])
    await exportMaps(captured, { ...options, overwrite: true })
    expect(await readFile(join(folder, 'mine.txt'), 'utf8')).toBe('mine')
    expect(await readFile(join(folder, 'report.csv'), 'utf8')).toContain('car')
  })

  it.each<[string, Partial<Parameters<typeof exportMaps>[1]>]>([
    ['dog', { words: ['dog'] }],
    ['No captured layer', { layers: ['up_blocks.9'] }],
    ['no head 7', { heads: [7] }],
    ['needs the picture', { formats: ['overlay'] }],
    [
      '640x640',
      {
        formats: ['overlay'],
        image: { width: 640, height: 640, channels: 3, data: new Uint8Array(640 * 640 * 3) },
      },
    ],
    ['maps per step', { formats: ['webp'] }],
    ['No format', { formats: [] }],
  ])('refuses by name: %s', async (why, options) => {
    const folder = join(await temporaryFolder(), 'none')
    const failing = exportMaps(captured, { folder, formats: ['png'], ...options })
    await expect(failing).rejects.toMatchObject({
      code: 'bad-argument',
      message: expect.stringContaining(why) as string,
    })
    await expect(readdir(folder)).rejects.toThrow('ENOENT')
  })

  it('refuses a folder that is a file, and stops when asked', async () => {
    const folder = await temporaryFolder()
    await writeFile(join(folder, 'file'), '')
    await expect(exportMaps(captured, { folder: join(folder, 'file'), formats: ['csv'] })).rejects.toThrow(
      'not a folder',
    )
    await mkdir(join(folder, 'stop'))
    const signal = AbortSignal.abort()
    await expect(
      exportMaps(captured, { folder: join(folder, 'stop'), formats: ['csv'], signal }),
    ).rejects.toMatchObject({ code: 'cancelled' })
    expect(await readdir(join(folder, 'stop'))).toEqual([])
  })
})

const spot = {
  point: { x: 0.3, y: 0.7 },
  rows: 20,
  width: 12,
  height: 8,
  data: Float32Array.from({ length: 96 }, (_, at) => 0.5 + at / 96),
}

describe('a spot', () => {
  it('is one map more, named by its point, whatever words are called', async () => {
    const folder = await temporaryFolder()
    const { files } = await exportMaps(captured, {
      folder,
      formats: ['png', 'overlay', 'npy', 'npz', 'recording', 'json'],
      words: ['car'],
      image,
      spot,
    })
    const names = files.map(file => file.slice(folder.length + 1))
    expect(names).toEqual(
      expect.arrayContaining(['spot-0.3-0.7.png', 'spot-0.3-0.7.overlay.png', 'spot-0.3-0.7.npy']),
    )
    expect(readNpy(await readFile(join(folder, 'spot-0.3-0.7.npy'))).data).toEqual(spot.data)
    const manifest = JSON.parse(await readFile(join(folder, 'manifest.json'), 'utf8')) as object
    expect(manifest).toMatchObject({
      maps: [{ name: 'car' }],
      spots: [{ name: 'spot-0.3-0.7', point: spot.point, rows: 20, range: { low: 0.5 } }],
    })
    const recording = await readRecording(
      memorySource('r', await readFile(join(folder, 'recording.safetensors'))),
    )
    expect(recording.spot).toEqual(spot)
    // The cross stands on the point: white, on a picture that is grey and viridis elsewhere.
    const { data } = await sharp(join(folder, 'spot-0.3-0.7.overlay.png'))
      .raw()
      .toBuffer({ resolveWithObject: true })
    const at = (Math.floor(0.7 * 64) * 96 + Math.floor(0.3 * 96)) * 3
    expect([...data.subarray(at, at + 3)]).toEqual([255, 255, 255])
    expect(spotName({ x: 1 / 3, y: 1 })).toBe('spot-0.333-1')
  })

  it('may lie on every corner', () => {
    for (const [x, y] of [
      [0, 0],
      [1, 0],
      [0, 1],
      [1, 1],
    ] as const) {
      const marked = markSpot(image, { x, y })
      const at = (Math.min(63, y * 64) * 96 + Math.min(95, x * 96)) * 3
      expect([...marked.data.subarray(at, at + 3)]).toEqual([255, 255, 255])
      expect(marked.data.length).toBe(image.data.length)
    }
  })
})

const meteredLayer = (path: string, shares: number[]) => ({
  path,
  width: 2,
  height: 1,
  shares,
  sizes: shares.map(share => Float32Array.of(share, 3 * share)),
})

describe('a meter', () => {
  const reading = {
    sources: [{ kind: 'own' as const }, { kind: 'region' as const, region: 0 }],
    step: 3,
    layers: [meteredLayer('down', [0.25, 0.75]), meteredLayer('up', [0.75, 0.25])],
    shares: [0.5, 0.5],
  }

  it('is written as a table and as JSON, in which nothing runs as a formula', async () => {
    const folder = await temporaryFolder()
    const meter = { reading, names: ['the prompt', '=region 1 "grass"'] }
    await exportMaps(captured, { folder, formats: ['csv'], words: ['car'], meter })
    expect((await readFile(join(folder, 'meter.csv'), 'utf8')).split('\r\n')).toEqual([
      `layer,width,height,the prompt,"'=region 1 ""grass"""`,
      'down,2,1,0.25,0.75',
      'up,2,1,0.75,0.25',
      'all,,,0.5,0.5',
      '',
    ])
    const json: unknown = JSON.parse(await readFile(join(folder, 'meter.json'), 'utf8'))
    expect(json).toMatchObject({
      step: 3,
      sources: [{ name: 'the prompt', kind: 'own', share: 0.5 }, { region: 0 }],
      layers: [{ path: 'down', sizes: [0.5, 1.5] }, {}],
    })
    const manifest = JSON.parse(await readFile(join(folder, 'manifest.json'), 'utf8')) as { files: string[] }
    expect(manifest.files).toEqual(['report.csv', 'meter.json', 'meter.csv', 'manifest.json'])
  })
})

describe("DAAM's rule", () => {
  it('makes the maps that daamMaps makes, and says so', async () => {
    const folder = await temporaryFolder()
    const story = syntheticCapture(storybookGrids)
    const options = { formats: ['npy'] as const, words: ['car'], rule: 'daam' as const }
    await exportMaps(story, { folder, ...options, normalise: 'absolute' })
    const { shape, data } = readNpy(await readFile(join(folder, 'car.npy')))
    expect(shape).toEqual([64, 64])
    expect(data).toEqual(daamWordMap(daamMaps(story), 'car').data)
    const manifest = JSON.parse(await readFile(join(folder, 'manifest.json'), 'utf8')) as object
    expect(manifest).toMatchObject({
      rule: expect.stringContaining('DAAM') as string,
      // Sums over four steps.
      maps: [{ range: { low: 0, high: 4 } }],
    })
    const averaged = exportMaps(story, { folder, ...options, recordedHeads: 'mean', overwrite: true })
    await expect(averaged).rejects.toMatchObject({ code: 'unsupported' })
  })
})

describe('animations', () => {
  it('show the mean so far, or each step', () => {
    const each = mapsOverSteps(captured, perStep, 2)
    const running = mapsOverSteps(captured, perStep, 2, 'running')
    expect(running[0]?.data).toEqual(each[0]?.data)
    running.at(-1)?.data.forEach((value, at) => {
      const sum = each.reduce((total, map) => total + (map.data[at] as number), 0)
      expect(value).toBeCloseTo(sum / each.length, 6)
    })
  })
})

describe('the folder of a run', () => {
  it('is looked at before it', async () => {
    const folder = await temporaryFolder()
    await checkMapsFolder(join(folder, 'new'), ['png'], false)
    expect(await readdir(folder)).toEqual([])
    await writeFile(join(folder, 'manifest.json'), '{}')
    await expect(checkMapsFolder(folder, ['png'], false)).rejects.toThrow('is there already')
    await checkMapsFolder(folder, ['png'], true)
  })
})

describe('names', () => {
  it('are safe everywhere and never alike', () => {
    expect(safeStem('../../etc/passwd')).toBe('etc-passwd')
    expect(safeStem('CON')).toBe('con_')
    expect(safeStem('...')).toBe('word')
    expect(safeStem('Größe')).toBe('größe')
    expect(safeStem('x'.repeat(500))).toHaveLength(60)
    const map = { width: 1, height: 1, data: new Float32Array(1) }
    const labels = ['Car', 'car', 'car-2', 'maps', '!!', '??']
    expect(
      mapNames(
        labels.map((label, word) => ({ ...map, label, word })),
        ['maps'],
      ),
    ).toEqual(['car', 'car-2', 'car-2-2', 'maps-2', 'word', 'word-2'])
  })
})

describe('tables and archives', () => {
  it('quotes what a spreadsheet would misread', () => {
    const words = ['=1+1', 'a"b,c'].map((text, at) => ({ ...captured.words[at]!, text }))
    const odd = { ...captured, words }
    const [, formula, quoted] = writeCsv(odd, attentionReport(odd)).split('\r\n')
    expect(formula).toMatch(/^'=1\+1,/)
    expect(quoted).toMatch(/^"a""b,c",/)
  })

  it('writes stored ZIP archives', () => {
    expect(crc32(new TextEncoder().encode('123456789'))).toBe(0xcbf43926)
    const zip = writeZip([{ name: 'ä.npy', data: Uint8Array.of(1, 2, 3) }])
    expect(zip.length).toBe(30 + 6 + 3 + 46 + 6 + 22)
    expect(() =>
      writeZip([
        { name: 'a', data: zip },
        { name: 'a', data: zip },
      ]),
    ).toThrow('one name')
  })
})

describe('figures as pictures', () => {
  const story = syntheticCapture(storybookGrids)

  it('have ink where letters are, with and without fonts', async () => {
    const figure = tokenFigure(story, [1, 2], {}, { patches: 4 })
    for (const letters of ['fonts', 'paths'] as const) {
      if (letters === 'fonts' && !(await canDrawText())) continue
      const { png } = await encodeFigure(figure, letters)
      const { data, info } = await sharp(png).greyscale().raw().toBuffer({ resolveWithObject: true })
      let dark = 0
      // The strip left of the plot holds labels only.
      for (let y = 0; y < info.height; y++)
        for (let x = 0; x < 120; x++) if ((data[y * info.width + x] as number) < 128) dark++
      expect(dark, letters).toBeGreaterThan(80)
    }
  })

  it('embed the cells as a picture when there are many', async () => {
    const many = tokenFigure(syntheticCapture([{ ...storybookGrids[0]!, width: 96, height: 64 }]), [1, 2])
    const { svg } = await encodeFigure(many)
    expect(svg.length).toBeLessThan(1_000_000)
    expect(new TextDecoder().decode(svg)).toContain('data:image/png;base64,')
  })
})
