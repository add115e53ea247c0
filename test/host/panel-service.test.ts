/** What the panels around the picture ask of the host: exports with their preview, folders, styles, templates of jobs. */
import { mkdir, readdir, readFile, symlink, writeFile } from 'node:fs/promises'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { JobQueue } from '../../host/jobs/queue.ts'
import { completeFolder } from '../../host/service/folders.ts'
import { exportRecording } from '../../host/service/maps.ts'
import { HostService } from '../../host/service/service.ts'
import { openStyles, updateStyles } from '../../host/settings/styles.ts'
import { makeRecording, writeRecording } from '../../model/attention/recording.ts'
import { syntheticCapture, wideGrids } from '../support/attention.ts'
import { facts, lastingFolder } from './service-support.ts'

const captured = syntheticCapture(wideGrids.slice(1), { width: 48, height: 32 })
const [word = ''] = captured.words.map(({ text }) => text)
const spot = { point: { x: 0.5, y: 0.25 }, rows: 3, width: 3, height: 2, data: new Float32Array(6).fill(1) }
const words = captured.words.map((_, index) => index)
// Two evaluations on a grid of 3×2, each word the same everywhere.
const perStep = {
  width: 3,
  height: 2,
  steps: [0, 1],
  words,
  data: new Float32Array(2 * words.length * 6).fill(0.5),
}
const recording = writeRecording(makeRecording(captured, {}, { spot, perStep }))
const none = () => Promise.reject(new Error('no picture'))

describe('an export', () => {
  it('shows the names that it writes, and one picture of them', async () => {
    const choice = { formats: ['npz', 'png', 'webp'], words: [word], steps: 'each' }
    const shown = await exportRecording({ ...choice, preview: true }, recording, none)
    if (shown.kind !== 'preview') throw new Error(shown.kind)
    const { files, picture } = shown.value
    expect(picture).toMatchObject({ name: files.find(name => name.endsWith('.png')), type: 'image/png' })
    expect(
      Buffer.from(picture?.base64 ?? '', 'base64')
        .subarray(1, 4)
        .toString(),
    ).toBe('PNG')
    const folder = join(await lastingFolder(), 'maps')
    const written = await exportRecording({ ...choice, folder }, recording, none)
    expect(written).toEqual({ kind: 'folder', value: { folder, files } })
    expect((await readdir(folder)).sort()).toEqual([...files].sort())
    const zip = await exportRecording(choice, recording, none)
    expect(zip.kind).toBe('zip')
    // Of a spot in the recording there is a map, and the manifest says how the steps were taken.
    expect(files.some(name => name.startsWith('spot-0.5-0.25'))).toBe(true)
    const manifest = JSON.parse(await readFile(join(folder, 'manifest.json'), 'utf8')) as Record<
      string,
      unknown
    >
    expect(manifest).toMatchObject({
      animation: 'each',
      spots: [{ point: spot.point }],
      files,
    })
    await expect(exportRecording({ ...choice, folder }, recording, none)).rejects.toThrow('is there already')
    await exportRecording({ ...choice, folder, overwrite: true }, recording, none)
  })

  it.each([
    [{ formats: ['png'], rule: 'median' }, 'rule'],
    [{ formats: ['webp'], steps: 'some' }, 'steps'],
    [{ formats: ['png'], folder: 'maps' }, 'whole path'],
    [{ formats: ['png'], folder: '../../etc' }, 'whole path'],
    [{ formats: ['overlay'] }, 'picture'],
    [{ formats: ['png'], words: ['nothing'] }, 'nothing'],
  ])('%j is refused before anything is written', async (choice, why) => {
    await expect(exportRecording(choice, recording, none)).rejects.toThrow(why)
  })

  it('shows nothing where the formats have no picture', async () => {
    const shown = await exportRecording({ formats: ['csv'], preview: true }, recording, none)
    expect(shown).toEqual({ kind: 'preview', value: { files: ['report.csv', 'manifest.json'] } })
  })
})

it('folders are completed as they are typed, hidden ones and files only when meant', async () => {
  const root = await lastingFolder()
  for (const name of ['maps', 'Models', '.secret', 'other']) await mkdir(join(root, name))
  await writeFile(join(root, 'map.png'), '')
  await symlink(join(root, 'maps'), join(root, 'mlink'))
  await symlink(join(root, 'gone'), join(root, 'mgone'))
  const below = async (typed: string) =>
    (await completeFolder(typed)).map(path => path.slice(root.length + 1, -1))
  expect(await below(join(root, 'm'))).toEqual(['maps', 'mlink', 'Models'])
  expect(await below(`${root}/`)).toEqual(['maps', 'mlink', 'Models', 'other'])
  expect(await below(join(root, '.s'))).toEqual(['.secret'])
  expect(await completeFolder(join(root, 'none', 'x'))).toEqual([])
  expect(await completeFolder('maps')).toEqual([])
  expect(await completeFolder('')).toEqual([])
  for (const found of await completeFolder('~')) expect(found.startsWith(homedir())).toBe(true)
})

describe('styles', () => {
  const preset = { name: 'soft', before: '', after: 'soft light', negative: '', settings: { steps: 12 } }

  it('are kept beside the settings, told to every window, and read again', async () => {
    const place = await facts()
    const service = await HostService.open(place)
    const heard: unknown[] = []
    service.subscribe(event => heard.push(event))
    const lists = { colour: ['red', 'blue'] }
    const kept = await service.call('styles.set', { patch: { presets: [preset], lists } })
    expect(kept).toEqual({ presets: [preset], lists })
    expect(heard).toContainEqual({ type: 'styles', styles: kept })
    // One part leaves the other alone.
    await service.call('styles.set', { patch: { lists: {} } })
    await expect(
      service.call('styles.set', { patch: { presets: [{ ...preset, name: '' }] } }),
    ).rejects.toMatchObject({ code: 'bad-argument' })
    await service.close()
    const again = await HostService.open(place)
    expect(await again.call('styles.get', {})).toEqual({ presets: [preset], lists: {} })
    await again.close()
  })

  it('that cannot be written or are too many are refused by name', async () => {
    const folder = await lastingFolder()
    await writeFile(join(folder, 'taken'), '')
    const store = await openStyles({ path: join(folder, 'taken', 'styles.json') })
    await expect(updateStyles(store, { presets: [preset] })).rejects.toMatchObject({ code: 'bad-file' })
    const many = await openStyles({ path: join(folder, 'styles.json') })
    // 9,000 entries of 2,000 characters: 18 MB, above the 16 that are kept.
    const lists = { long: Array.from({ length: 9000 }, () => 'x'.repeat(2000)) }
    await expect(updateStyles(many, { lists })).rejects.toThrow('16 MB')
    expect(many.values.lists).toEqual({})
  })

  it('of a damaged file are set aside and said', async () => {
    const path = join(await lastingFolder(), 'styles.json')
    await writeFile(path, 'not json')
    const store = await openStyles({ path })
    expect(store.values).toEqual({ presets: [], lists: {} })
    expect(store.notices[0]).toContain('The styles were damaged')
  })
})

it('a shell without a dialog says so, one with a dialog is asked', async () => {
  const without = await HostService.open(await facts())
  await expect(without.call('shell.chooseFolder', { title: 'x' })).rejects.toMatchObject({
    code: 'unsupported',
  })
  await without.close()
  const { desktop, ...rest } = await facts()
  const asked: string[] = []
  const chooseFolder = (title: string) => (
    asked.push(title), Promise.resolve(asked.length > 1 ? undefined : '/maps')
  )
  const service = await HostService.open({ ...rest, desktop: { ...desktop, chooseFolder } })
  expect(await service.call('shell.chooseFolder', { title: 'Maps' })).toEqual({ path: '/maps' })
  expect(await service.call('shell.chooseFolder', { title: 'Maps' })).toEqual({})
  expect(asked).toEqual(['Maps', 'Maps'])
  await expect(service.call('downloads.pause', { id: 'none' })).rejects.toMatchObject({
    code: 'bad-argument',
  })
  await service.close()
})

it('a job keeps the template that its prompt was drawn from, through a restart', async () => {
  const folder = await lastingFolder()
  const options = {
    file: join(folder, 'jobs.jsonl'),
    runner: { run: () => Promise.reject(new Error('never')) },
    outputFolder: () => folder,
  }
  const template = { prompt: 'a {red|blue} car', negativePrompt: '' }
  const { queue } = await JobQueue.open(options)
  await queue.add({ prompt: 'a red car', seed: '1' }, {}, template)
  await queue.add({ prompt: 'a tree', seed: '1' })
  await queue.close()
  const again = await JobQueue.open(options)
  expect(again.queue.jobs.map(job => job.template)).toEqual([template, undefined])
  await again.queue.close()
})
