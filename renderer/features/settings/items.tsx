/** Everything that can be set: what the screen lists, what its search finds, and what "reset" puts back. */
import type { ReactNode } from 'react'
import { samplers } from '../../../model/contract/request.ts'
import { settingsSchema, type SettingsValues } from '../../../model/contract/settings.ts'
import { samplerNames } from '../generate/settings-panel.tsx'
import { changeSettings } from '../../state/settings.ts'
import type { Strings } from '../../strings/index.ts'
import { NumberField } from '../../ui/number-field.tsx'
import { Segmented } from '../../ui/segmented.tsx'
import { Select } from '../../ui/select.tsx'
import { FolderList, HostSeatNote, KeptTools, OpenFolder, OutputFolder } from './folder-fields.tsx'
import { Switch } from './switch.tsx'

export type SectionName = 'appearance' | 'drawing' | 'defaults' | 'files' | 'privacy' | 'storage'

export interface SettingItem {
  readonly id: string
  readonly section: SectionName
  readonly label: string
  readonly hint: string
  /** What resets it; absent where it is at its default or has none. */
  readonly reset: Partial<SettingsValues> | undefined
  readonly control: ReactNode
  /** The control is wide and stands below the sentence. */
  readonly isWide?: boolean
}

export const sections: readonly SectionName[] = [
  'appearance',
  'drawing',
  'defaults',
  'files',
  'privacy',
  'storage',
]
const standard = settingsSchema.parse({})
const change = (patch: Partial<SettingsValues>) => void changeSettings(patch)

/** A language by its own name: whoever cannot read this window finds it all the same. */
const languageNames = { en: 'English', de: 'Deutsch' } as const

export function settingItems(
  values: SettingsValues,
  { settings: s }: Pick<Strings, 'settings'>,
): SettingItem[] {
  type Key = keyof SettingsValues
  const isDefault = (key: Key) => JSON.stringify(values[key]) === JSON.stringify(standard[key])
  const item = (
    key: Key,
    section: SectionName,
    label: string,
    hint: string,
    control: ReactNode,
    isWide = false,
  ): SettingItem => ({
    id: key,
    section,
    label,
    hint,
    reset: isDefault(key) ? undefined : { [key]: standard[key] },
    control,
    isWide,
  })
  const { defaults } = values
  const setDefault = (patch: Partial<SettingsValues['defaults']>) =>
    change({ defaults: { ...defaults, ...patch } })
  const defaultItem = (
    key: keyof SettingsValues['defaults'],
    label: string,
    hint: string,
    control: ReactNode,
  ): SettingItem => {
    const { [key]: present, ...rest } = defaults
    return {
      id: `defaults.${key}`,
      section: 'defaults',
      label,
      hint,
      reset: present === undefined ? undefined : { defaults: rest },
      control,
    }
  }
  const toggle = (key: 'livePreview' | 'wordMaps' | 'notifications' | 'logPrompts', label: string) => (
    <Switch label={label} checked={values[key]} onChange={on => change({ [key]: on })} />
  )
  return [
    item(
      'theme',
      'appearance',
      s.theme,
      s.themeHint,
      <Segmented
        label={s.theme}
        value={values.theme}
        options={[
          { value: 'system', label: s.system },
          { value: 'dark', label: s.dark },
          { value: 'light', label: s.light },
        ]}
        onChange={theme => change({ theme })}
      />,
    ),
    item(
      'language',
      'appearance',
      s.language,
      s.languageHint,
      <Select
        label={s.language}
        value={values.language in languageNames ? values.language : 'system'}
        className="w-44!"
        options={[
          { value: 'system', label: s.system },
          ...Object.entries(languageNames).map(([value, label]) => ({ value, label })),
        ]}
        onChange={language => change({ language })}
      />,
    ),
    item(
      'reducedMotion',
      'appearance',
      s.motion,
      s.motionHint,
      <Segmented
        label={s.motion}
        value={values.reducedMotion}
        options={[
          { value: 'system', label: s.system },
          { value: 'on', label: s.motionOn },
          { value: 'off', label: s.motionOff },
        ]}
        onChange={reducedMotion => change({ reducedMotion })}
      />,
    ),
    item(
      'engineSeat',
      'drawing',
      s.engineSeat,
      s.engineSeatHint,
      <div className="flex flex-col gap-1">
        <Segmented
          label={s.engineSeat}
          value={values.engineSeat}
          className="self-start"
          options={[
            { value: 'auto', label: s.seatAuto },
            { value: 'page', label: s.seatPage },
            { value: 'host', label: s.seatHost },
          ]}
          onChange={engineSeat => change({ engineSeat })}
        />
        <HostSeatNote />
      </div>,
      true,
    ),
    item(
      'precision',
      'drawing',
      s.precision,
      s.precisionHint,
      <Segmented
        label={s.precision}
        value={values.precision}
        options={[
          { value: 'auto', label: s.precisionAuto },
          { value: 'f16', label: s.precisionHalf },
          { value: 'f32', label: s.precisionFull },
        ]}
        onChange={precision => change({ precision })}
      />,
    ),
    item('livePreview', 'drawing', s.livePreview, s.livePreviewHint, toggle('livePreview', s.livePreview)),
    item('wordMaps', 'drawing', s.wordMaps, s.wordMapsHint, toggle('wordMaps', s.wordMaps)),
    item(
      'notifications',
      'drawing',
      s.notifications,
      s.notificationsHint,
      toggle('notifications', s.notifications),
    ),
    defaultItem(
      'steps',
      s.steps,
      s.stepsHint,
      <Optional isSet={defaults.steps !== undefined} text={s.modelsChoice}>
        <NumberField
          label={s.steps}
          value={defaults.steps ?? 20}
          min={1}
          max={1000}
          step={1}
          isDefault={defaults.steps === undefined}
          className="w-20"
          onChange={steps => setDefault({ steps })}
        />
      </Optional>,
    ),
    defaultItem(
      'guidanceScale',
      s.guidance,
      s.guidanceHint,
      <Optional isSet={defaults.guidanceScale !== undefined} text={s.modelsChoice}>
        <NumberField
          label={s.guidance}
          value={defaults.guidanceScale ?? 7}
          min={0}
          max={100}
          step={0.5}
          digits={1}
          isDefault={defaults.guidanceScale === undefined}
          className="w-20"
          onChange={guidanceScale => setDefault({ guidanceScale })}
        />
      </Optional>,
    ),
    defaultItem(
      'sampler',
      s.sampler,
      s.samplerHint,
      <Select
        label={s.sampler}
        value={defaults.sampler ?? 'model'}
        className="w-44!"
        options={[
          { value: 'model', label: s.modelsChoice },
          ...samplers.map(value => ({ value, label: samplerNames[value] })),
        ]}
        onChange={value => {
          const { sampler: _before, ...rest } = defaults
          change({ defaults: value === 'model' ? rest : { ...rest, sampler: value } })
        }}
      />,
    ),
    {
      ...defaultItem(
        'negativePrompt',
        s.negative,
        s.negativeHint,
        <textarea
          aria-label={s.negative}
          rows={2}
          // Written when it is left: every change is a file on the disk.
          key={defaults.negativePrompt ?? ''}
          defaultValue={defaults.negativePrompt ?? ''}
          onBlur={event => {
            const { negativePrompt: _before, ...rest } = defaults
            const text = event.target.value.trim()
            if (text !== (defaults.negativePrompt ?? ''))
              change({ defaults: text === '' ? rest : { ...rest, negativePrompt: text } })
          }}
          className="field field-sizing-content max-h-40 min-h-14 w-full resize-none px-3 py-2 text-sm outline-none"
        />,
      ),
      isWide: true,
    },
    item('outputFolder', 'files', s.outputFolder, s.outputFolderHint, <OutputFolder />, true),
    item('galleryFolders', 'files', s.galleryFolders, s.galleryFoldersHint, <FolderList />, true),
    {
      id: 'downloads.parallel',
      section: 'files',
      label: s.downloads,
      hint: s.downloadsHint,
      reset:
        values.downloads.parallel === standard.downloads.parallel
          ? undefined
          : { downloads: { ...values.downloads, parallel: standard.downloads.parallel } },
      control: (
        <NumberField
          label={s.downloads}
          value={values.downloads.parallel}
          min={1}
          max={8}
          step={1}
          className="w-20"
          onChange={parallel => change({ downloads: { ...values.downloads, parallel } })}
        />
      ),
    },
    {
      id: 'downloads.retries',
      section: 'files',
      label: s.retries,
      hint: s.retriesHint,
      reset:
        values.downloads.retries === standard.downloads.retries
          ? undefined
          : { downloads: { ...values.downloads, retries: standard.downloads.retries } },
      control: (
        <NumberField
          label={s.retries}
          value={values.downloads.retries}
          min={0}
          max={20}
          step={1}
          className="w-20"
          onChange={retries => change({ downloads: { ...values.downloads, retries } })}
        />
      ),
    },
    item(
      'logPrompts',
      'privacy',
      s.logPrompts,
      s.logPromptsHint,
      <div className="flex items-center gap-3">
        <OpenFolder which="logs" label={s.openLogs} />
        {toggle('logPrompts', s.logPrompts)}
      </div>,
    ),
    {
      id: 'kept',
      section: 'storage',
      label: s.kept,
      hint: s.keptHint,
      reset: undefined,
      control: <KeptTools />,
      isWide: true,
    },
  ]
}

function Optional({
  isSet,
  text,
  children,
}: {
  readonly isSet: boolean
  readonly text: string
  readonly children: ReactNode
}) {
  return (
    <div className="flex items-center gap-3">
      {!isSet && <span className="text-xs text-faint">{text}</span>}
      {children}
    </div>
  )
}
