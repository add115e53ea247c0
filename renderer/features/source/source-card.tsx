/** The picture to begin from: what it is, how much of it changes, how it fits, and what is painted over it. */
import { Brush, Scaling, Trash2, X } from 'lucide-react'
import { useCallback } from 'react'
import type { InputFit } from '../../../model/contract/inputs.ts'
import { inputUrl } from '../../host/client.ts'
import { useEngine } from '../../state/engine.ts'
import type { InpaintDraft, SourceDraft } from '../../state/inputs.ts'
import { coverage, isEmpty, tintMask } from '../../state/masks.ts'
import { changeRequest, draft, useRequest } from '../../state/request.ts'
import { useWords } from '../../state/words.ts'
import { type Strings, useStrings } from '../../strings/index.ts'
import { Button, IconButton } from '../../ui/button.tsx'
import { PixelCanvas } from '../../ui/pixel-canvas.tsx'
import { Segmented } from '../../ui/segmented.tsx'
import { Slider } from '../../ui/slider.tsx'
import { percent } from '../attention/word-row.tsx'
import { editMask, leaveMask, maskColour } from '../inpaint/inpaint-state.ts'
import { PictureDrop } from './picture-drop.tsx'
import { changeSource, shapeOf, takeSourceFile } from './source-actions.ts'

export function SourceCard({ source }: { readonly source: SourceDraft }) {
  const { inputs } = useStrings()
  const inpaint = useRequest(state => state.draft.inpaint)
  const mask = inpaint && !isEmpty(inpaint.mask) ? inpaint.mask : undefined
  return (
    <section aria-label={inputs.source} className="flex flex-col gap-3 rounded-lg bg-raised p-3">
      <div className="flex items-start gap-3">
        <PictureDrop
          label={inputs.chooseFile}
          onPicture={file => void takeSourceFile(file, file.name)}
          className="relative size-16 shrink-0 overflow-hidden rounded-md bg-field"
        >
          <img src={inputUrl(source.key)} alt="" className="size-full object-cover" />
          {inpaint && mask && <MaskTint inpaint={inpaint} />}
        </PictureDrop>
        <div className="min-w-0 grow">
          <div className="flex h-6 items-center gap-1">
            <h3 className="grow truncate text-sm font-medium">{inputs.source}</h3>
            <IconButton
              label={inputs.removeSource}
              size="small"
              onClick={() => {
                leaveMask()
                changeRequest({ source: undefined, inpaint: undefined })
              }}
            >
              <X aria-hidden />
            </IconButton>
          </div>
          <p className="numeric truncate text-xs text-faint" title={source.name}>
            {inputs.sourceName(source.name, source.width, source.height)}
          </p>
          <MaskButton isMasked={mask !== undefined} />
        </div>
      </div>
      <Strength source={source} isMasked={mask !== undefined} />
      <Fit source={source} />
      {inpaint && mask && <Inpainting inpaint={inpaint} share={percent(coverage(mask))} />}
    </section>
  )
}

/** The mask over the thumbnail. */
function MaskTint({ inpaint }: { readonly inpaint: InpaintDraft }) {
  const data = useCallback(() => tintMask(inpaint.mask, maskColour, 0.75), [inpaint.mask])
  return <PixelCanvas data={data} className="absolute inset-0 size-full object-cover" />
}

function MaskButton({ isMasked }: { readonly isMasked: boolean }) {
  const { inputs } = useStrings()
  const isOpen = useWords(state => state.tool.kind === 'inpaint')
  return (
    <Button
      size="small"
      aria-pressed={isOpen}
      className="mt-1 max-w-full bg-field aria-pressed:bg-accent-wash aria-pressed:text-accent"
      onClick={() => (isOpen ? leaveMask() : editMask())}
    >
      <Brush className="size-3.5 shrink-0" aria-hidden />
      <span className="truncate">{isMasked ? inputs.inpaintEdit : inputs.inpaint}</span>
    </Button>
  )
}

/** What a share of change means, in a sentence. */
function strengthMeaning(strength: number, isMasked: boolean, { inputs }: Strings): string {
  if (strength < 0.05) return inputs.strengthNone
  if (strength < 0.35) return inputs.strengthLittle
  if (strength < 0.65) return inputs.strengthSome
  if (strength < 0.9) return inputs.strengthMuch
  return isMasked && strength > 0.99 ? inputs.strengthAllMasked : inputs.strengthAll
}

function Strength({ source, isMasked }: { readonly source: SourceDraft; readonly isMasked: boolean }) {
  const strings = useStrings()
  const { inputs } = strings
  const asked = useRequest(state => state.draft.steps)
  const own = useEngine(state => state.model?.defaults.steps)
  const steps = asked ?? own ?? 12
  const share = Math.round(source.strength * 100)
  const meaning = strengthMeaning(source.strength, isMasked, strings)
  return (
    <div>
      <div className="flex h-5 items-center justify-between">
        <span className="label">{inputs.strength}</span>
        <span className="numeric text-xs text-soft">
          {inputs.strengthText(share)}
          <span className="text-faint">
            {' '}
            · {inputs.steps(Math.min(steps, Math.floor(steps * source.strength)), steps)}
          </span>
        </span>
      </div>
      <Slider
        label={inputs.strength}
        valueText={`${inputs.strengthText(share)}. ${meaning}`}
        value={source.strength}
        min={0}
        max={1}
        step={0.05}
        onChange={strength => changeSource({ strength: Number(strength.toFixed(2)) }, 'strength')}
      />
      <p className="text-xs text-faint">{meaning}</p>
    </div>
  )
}

/** Only where the shapes differ is there anything to choose. */
function Fit({ source }: { readonly source: SourceDraft }) {
  const { inputs } = useStrings()
  const { width, height } = useDrawnSize()
  // The nearest shape on the model's grid is the source's own, too.
  const nearest = shapeOf(source)
  const isNearest = nearest.width === width && nearest.height === height
  const differs = !isNearest && Math.abs(Math.log((source.width * height) / (source.height * width))) > 0.02
  if (!differs) return null
  const names: Readonly<Record<InputFit, string>> = {
    crop: inputs.fitCrop,
    fill: inputs.fitFill,
    stretch: inputs.fitStretch,
  }
  return (
    <div className="flex items-end gap-2">
      <div className="min-w-0 grow">
        <span className="label mb-1 block">{inputs.fit}</span>
        <Segmented
          label={inputs.fit}
          value={source.fit}
          options={(['crop', 'fill', 'stretch'] as const).map(value => ({ value, label: names[value] }))}
          onChange={fit => changeSource({ fit })}
        />
      </div>
      <IconButton label={inputs.matchSize} onClick={() => changeRequest(shapeOf(source))}>
        <Scaling aria-hidden />
      </IconButton>
    </div>
  )
}

/** The size that is drawn: chosen, or the model's own. */
export function useDrawnSize(): { readonly width: number; readonly height: number } {
  const { width, height } = useRequest(state => state.draft)
  const defaults = useEngine(state => state.model?.defaults)
  return { width: width ?? defaults?.width ?? 512, height: height ?? defaults?.height ?? 512 }
}

function change(patch: Partial<InpaintDraft>, kind?: string): void {
  const now = draft().inpaint
  if (now) changeRequest({ inpaint: { ...now, ...patch } }, kind)
}

function Inpainting({ inpaint, share }: { readonly inpaint: InpaintDraft; readonly share: string }) {
  const { inputs } = useStrings()
  return (
    <div className="flex flex-col gap-2 border-t border-line pt-3">
      <div className="flex h-6 items-center gap-1">
        <p className="grow text-xs text-soft">{inputs.masked(share)}</p>
        <IconButton
          label={inputs.removeMask}
          size="small"
          onClick={() => {
            leaveMask()
            changeRequest({ inpaint: undefined })
          }}
        >
          <Trash2 aria-hidden />
        </IconButton>
      </div>
      <div title={inputs.contentHint}>
        <span className="label mb-1 block">{inputs.content}</span>
        <Segmented
          label={inputs.content}
          value={inpaint.content}
          options={[
            { value: 'original', label: inputs.contentOriginal },
            { value: 'fill', label: inputs.contentFill },
          ]}
          onChange={content => change({ content })}
        />
      </div>
      <div className="flex items-center gap-3">
        <span className="label shrink-0">{inputs.feather}</span>
        <Slider
          label={inputs.feather}
          valueText={`${Math.round(inpaint.feather * 100)} %`}
          value={inpaint.feather}
          min={0}
          max={0.2}
          step={0.01}
          onChange={feather => change({ feather: Number(feather.toFixed(2)) }, 'feather')}
        />
      </div>
    </div>
  )
}
