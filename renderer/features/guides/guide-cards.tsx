/**
 * Guides: each a card with its picture, what the network sees of it, and how much it counts when. Cards of other kinds
 * of guides (image prompts) stand beside these.
 */
import { Box, ChevronRight, X } from 'lucide-react'
import { useEffect, useState } from 'react'
import type { GuideMode, GuideResize } from '../../../model/contract/guides.ts'
import { inputUrl } from '../../host/client.ts'
import type { GuideDraft } from '../../state/inputs.ts'
import { useRequest } from '../../state/request.ts'
import { showScreen } from '../../state/ui.ts'
import { useSettings } from '../../state/settings.ts'
import { type Strings, useStrings } from '../../strings/index.ts'
import { Button, IconButton } from '../../ui/button.tsx'
import { cx } from '../../ui/class-names.ts'
import { RangeSlider } from '../../ui/range-slider.tsx'
import { Segmented } from '../../ui/segmented.tsx'
import { Select } from '../../ui/select.tsx'
import { Slider } from '../../ui/slider.tsx'
import { PictureDrop } from '../source/picture-drop.tsx'
import {
  chosenModel,
  changeGuide,
  followNets,
  removeGuide,
  takeGuidePicture,
  useNets,
  whyNot,
} from './guide-state.ts'
import { HintPreview } from './hint-preview.tsx'
import { PreprocessorChoice } from './preprocessor-choice.tsx'

export function GuideCards() {
  const guides = useRequest(state => state.draft.guides)
  const hasGuides = guides.length > 0
  useEffect(() => (hasGuides ? followNets() : undefined), [hasGuides])
  return guides.map((guide, index) => <GuideCard key={guide.id} guide={guide} index={index} />)
}

function GuideCard({ guide, index }: { readonly guide: GuideDraft; readonly index: number }) {
  const { inputs } = useStrings()
  const state = useNets()
  // Another model may fit where this one does not.
  useSettings(({ values }) => values.model)
  const [open, setOpen] = useState(false)
  const name = inputs.guide(index + 1)
  const reason = whyNot(guide, state)
  const isIncomplete = !guide.net || !guide.picture
  return (
    <section
      aria-label={name}
      data-guide
      className="flex flex-col gap-3 rounded-lg bg-raised p-3"
      data-acts={guide.enabled && !reason && !isIncomplete}
    >
      <div className="flex h-6 items-center gap-2">
        <input
          type="checkbox"
          aria-label={inputs.guideOn(name)}
          checked={guide.enabled}
          onChange={event => changeGuide(guide.id, { enabled: event.target.checked })}
          className="size-3.5 accent-(--accent)"
        />
        <h3 className="grow truncate text-sm font-medium">{name}</h3>
        <IconButton label={inputs.removeGuide(name)} size="small" onClick={() => removeGuide(guide.id)}>
          <X aria-hidden />
        </IconButton>
      </div>
      {state.isLoaded && state.nets.length === 0 ? (
        <NoNets />
      ) : (
        <div className={cx('flex flex-col gap-3', !guide.enabled && 'opacity-60')}>
          <NetChoice guide={guide} />
          {reason && (
            <p role="status" className="rounded-md bg-warning-wash px-2 py-1.5 text-xs text-warning">
              {reason}
            </p>
          )}
          <Pictures guide={guide} />
          <PreprocessorChoice guide={guide} />
          <Weight guide={guide} />
          <button
            type="button"
            aria-expanded={open}
            onClick={() => setOpen(!open)}
            className="flex h-6 items-center gap-1 self-start rounded text-xs text-faint hover:text-text"
          >
            <ChevronRight className={cx('size-3.5 transition-transform', open && 'rotate-90')} aria-hidden />
            {inputs.more}
          </button>
          {open && <More guide={guide} />}
          {isIncomplete && !reason && <p className="text-xs text-faint">{inputs.incomplete}</p>}
        </div>
      )}
    </section>
  )
}

function NoNets() {
  const { inputs } = useStrings()
  return (
    <div className="text-xs text-soft">
      <p className="font-medium text-text">{inputs.noNetsTitle}</p>
      <p className="mt-1">{inputs.noNets}</p>
      <Button size="small" className="mt-2" onClick={() => showScreen('models')}>
        <Box className="size-3.5" aria-hidden />
        {inputs.openModels}
      </Button>
    </div>
  )
}

/** No id of a network. */
const none = '-'

function NetChoice({ guide }: { readonly guide: GuideDraft }) {
  const { inputs } = useStrings()
  const state = useNets()
  const family = chosenModel(state)?.family
  // Those that fit come first; the others say what they are for.
  const nets = state.nets.toSorted((a, b) => Number(b.family === family) - Number(a.family === family))
  const options = nets.map(net => ({
    value: net.id,
    label: net.name,
    ...(net.family !== family && { hint: net.family }),
  }))
  const known = options.some(({ value }) => value === guide.net?.id)
  return (
    <div>
      <span className="label mb-1 block">{inputs.net}</span>
      <Select
        label={inputs.net}
        value={guide.net?.id ?? none}
        options={[
          ...(guide.net ? [] : [{ value: none, label: inputs.noNet }]),
          ...(guide.net && !known ? [{ value: guide.net.id, label: guide.net.name }] : []),
          ...options,
        ]}
        onChange={id => {
          const net = state.nets.find(each => each.id === id)
          if (net) changeGuide(guide.id, { net: { id: net.id, name: net.name, file: net.file } })
        }}
      />
    </div>
  )
}

/** The picture, and what becomes of it. */
function Pictures({ guide }: { readonly guide: GuideDraft }) {
  const { inputs } = useStrings()
  const { picture } = guide
  return (
    <div className="grid grid-cols-2 gap-2">
      <div>
        <PictureDrop
          label={picture ? `${inputs.choosePicture}: ${picture.name}` : inputs.choosePicture}
          onPicture={file => void takeGuidePicture(guide.id, file)}
          className={cx(
            'grid aspect-square w-full place-items-center overflow-hidden rounded-md',
            picture ? 'bg-field' : 'border border-dashed border-line-strong text-faint hover:text-text',
          )}
        >
          {picture ? (
            <img src={inputUrl(picture.key)} alt="" className="size-full object-cover" />
          ) : (
            <span className="px-2 text-center text-xs">{inputs.choosePicture}</span>
          )}
        </PictureDrop>
        <p className="mt-1 truncate text-2xs text-faint" title={picture?.name}>
          {picture?.name ?? inputs.pictureOf}
        </p>
      </div>
      <div>
        <HintPreview guide={guide} />
        <p className="mt-1 truncate text-2xs text-faint">{inputs.hintShort}</p>
      </div>
    </div>
  )
}

const share = (value: number): number => Math.round(value * 100)

function Weight({ guide }: { readonly guide: GuideDraft }) {
  const { inputs } = useStrings()
  const { id, weight, start, end } = guide
  return (
    <>
      <div>
        <div className="flex h-5 items-center justify-between">
          <span className="label">{inputs.weight}</span>
          <span className="numeric text-xs text-soft">{weight.toFixed(2)}</span>
        </div>
        <Slider
          label={inputs.weight}
          value={weight}
          min={0}
          max={2}
          step={0.05}
          origin={1}
          onChange={value => changeGuide(id, { weight: Number(value.toFixed(2)) }, 'weight')}
        />
      </div>
      <div>
        <div className="flex h-5 items-center justify-between">
          <span className="label">{inputs.when}</span>
          <span className="numeric text-xs text-soft">{inputs.whenText(share(start), share(end))}</span>
        </div>
        <RangeSlider
          labels={[`${inputs.when}: ${inputs.from}`, `${inputs.when}: ${inputs.to}`]}
          value={[start, end]}
          min={0}
          max={1}
          step={0.05}
          valueText={value => `${share(value)} %`}
          onChange={([from, to]) =>
            changeGuide(id, { start: Number(from.toFixed(2)), end: Number(to.toFixed(2)) }, 'when')
          }
        />
      </div>
    </>
  )
}

function modeNames({ inputs }: Strings): Readonly<Record<GuideMode, string>> {
  return {
    balanced: inputs.modeBalanced,
    prompt: inputs.modePrompt,
    control: inputs.modeControl,
    unbalanced: inputs.modeUnbalanced,
  }
}

function More({ guide }: { readonly guide: GuideDraft }) {
  const strings = useStrings()
  const { inputs } = strings
  const modes = modeNames(strings)
  const fits: Readonly<Record<GuideResize, string>> = {
    crop: inputs.fitCrop,
    fill: inputs.fitFill,
    stretch: inputs.fitStretch,
  }
  return (
    <>
      <div>
        <span className="label mb-1 block">{inputs.mode}</span>
        <Select
          label={inputs.mode}
          value={guide.mode}
          options={(['balanced', 'prompt', 'control', 'unbalanced'] as const).map(value => ({
            value,
            label: modes[value],
          }))}
          onChange={mode => changeGuide(guide.id, { mode })}
        />
      </div>
      <div>
        <span className="label mb-1 block">{inputs.fit}</span>
        <Segmented
          label={inputs.fit}
          value={guide.resize}
          options={(['crop', 'fill', 'stretch'] as const).map(value => ({ value, label: fits[value] }))}
          onChange={resize => changeGuide(guide.id, { resize })}
        />
      </div>
    </>
  )
}
