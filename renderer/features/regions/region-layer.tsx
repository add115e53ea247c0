/** Regions over the picture, each in its colour; the brush and the rectangle that make them. */
import { useCallback, useEffect, useMemo, useRef } from 'react'
import type { Region } from '../../../model/contract/controls.ts'
import { type Mask, tintMask } from '../../state/masks.ts'
import { useRequest } from '../../state/request.ts'
import { useWords } from '../../state/words.ts'
import { useStrings } from '../../strings/index.ts'
import { BrushCanvas } from '../../ui/brush-canvas.tsx'
import { PixelCanvas } from '../../ui/pixel-canvas.tsx'
import { type StagePoint, stageView } from '../stage/stage-view.ts'
import { addRectangle, focusRegion, maskOfRegion, regionColour, setRegionMask } from './region-state.ts'

const smallestRegion = 0.03
/** Opacity of a region that is not being painted. */
const quiet = 0.38

export function RegionLayer() {
  const tool = useWords(state => state.tool)
  const regions = useRequest(state => state.draft.regions?.regions)
  const painted = tool.kind === 'paint-region' ? tool.index : undefined
  return (
    <>
      {regions?.map((region, index) =>
        index === painted ? null : <Shown key={index} region={region} index={index} />,
      )}
      {painted !== undefined && regions?.[painted] && (
        <Painted key={painted} region={regions[painted]} index={painted} />
      )}
      {tool.kind === 'region' && <RectangleTool />}
    </>
  )
}

function Shown({ region, index }: { readonly region: Region; readonly index: number }) {
  const { mask } = region
  const colour = regionColour(index)
  const data = useCallback(
    () => (mask.kind === 'bitmap' ? outlined(maskOfRegion(mask), colour) : undefined),
    [mask, colour],
  )
  const place = useMemo(() => placeOf(region), [region])
  const rgb = colour.join(' ')
  return (
    <>
      {mask.kind === 'bitmap' && (
        <PixelCanvas data={data} className="pointer-events-none absolute inset-0 size-full" />
      )}
      {place && (
        <div
          className="pointer-events-none absolute"
          style={{
            left: `${place.x * 100}%`,
            top: `${place.y * 100}%`,
            width: `${place.width * 100}%`,
            height: `${place.height * 100}%`,
            ...(mask.kind === 'rect' && {
              background: `rgb(${rgb} / 0.14)`,
              boxShadow: `0 0 0 calc(2px * var(--unscale)) rgb(${rgb}), 0 0 0 calc(3px * var(--unscale)) rgb(0 0 0 / 0.6)`,
              borderRadius: 'calc(4px * var(--unscale))',
            }),
          }}
        >
          <Label text={region.prompt} index={index} />
        </div>
      )}
    </>
  )
}

/** A mask as a quiet tint with its border drawn: over a picture of any colour one of the two is seen. */
function outlined(mask: Mask, colour: readonly [number, number, number]): ImageData {
  const image = tintMask(mask, colour, quiet)
  const { width, height, data } = mask
  const inside = (x: number, y: number) =>
    x >= 0 && y >= 0 && x < width && y < height && (data[y * width + x] as number) >= 128
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const isBorder =
        inside(x, y) && !(inside(x - 1, y) && inside(x + 1, y) && inside(x, y - 1) && inside(x, y + 1))
      if (isBorder) image.data.set([...colour, 240], (y * width + x) * 4)
    }
  }
  return image
}

function Label({ text, index }: { readonly text: string; readonly index: number }) {
  const { attention } = useStrings()
  return (
    <span
      className="absolute top-1 left-1 flex max-w-48 origin-top-left items-center gap-1.5 rounded bg-black/75 px-1.5 py-0.5 text-xs whitespace-nowrap text-white"
      style={{ scale: 'var(--unscale)' }}
    >
      <span
        aria-hidden
        className="size-2 shrink-0 rounded-full"
        style={{ background: `rgb(${regionColour(index).join(' ')})` }}
      />
      <span className="truncate">{text || attention.regionNumber(index + 1)}</span>
    </span>
  )
}

/** The rectangle that a mask lies in; undefined for an empty one. */
function placeOf({ mask }: Region): { x: number; y: number; width: number; height: number } | undefined {
  if (mask.kind === 'rect') return mask
  const { width, height, data } = maskOfRegion(mask)
  let [left, top, right, bottom] = [width, height, -1, -1]
  data.forEach((value, at) => {
    if (value < 64) return
    const [x, y] = [at % width, Math.floor(at / width)]
    left = Math.min(left, x)
    right = Math.max(right, x)
    top = Math.min(top, y)
    bottom = Math.max(bottom, y)
  })
  if (right < left) return undefined
  return {
    x: left / width,
    y: top / height,
    width: (right + 1 - left) / width,
    height: (bottom + 1 - top) / height,
  }
}

function Painted({ region, index }: { readonly region: Region; readonly index: number }) {
  const { attention } = useStrings()
  const tool = useWords(state => state.tool)
  const { mask: stored } = region
  const mask = useMemo((): Mask => maskOfRegion(stored), [stored])
  if (tool.kind !== 'paint-region') return null
  const { size, erase } = tool
  return (
    <BrushCanvas
      label={attention.paintHelp}
      surface={stageView}
      mask={mask}
      brush={{ size, erase, softness: 1 / 3 }}
      colour={regionColour(index)}
      onBrush={({ size: nextSize = size, erase: nextErase = erase }) =>
        useWords.setState({ tool: { ...tool, size: nextSize, erase: nextErase } })
      }
      onStroke={next => setRegionMask(index, next)}
      onLeave={() => {
        useWords.setState({ tool: { kind: 'view' } })
        focusRegion(index)
      }}
    />
  )
}

/** A rectangle is drawn by dragging. */
function RectangleTool() {
  const frame = useRef<HTMLDivElement>(null)
  useEffect(() => {
    let from: { x: number; y: number } | undefined
    const share = ({ x, y }: StagePoint) => ({
      x: Math.min(1, Math.max(0, x / stageView.size.width)),
      y: Math.min(1, Math.max(0, y / stageView.size.height)),
    })
    const rectangle = (to: { x: number; y: number }) => {
      const [x, y] = [Math.min(from?.x ?? 0, to.x), Math.min(from?.y ?? 0, to.y)]
      return { x, y, width: Math.abs(to.x - (from?.x ?? 0)), height: Math.abs(to.y - (from?.y ?? 0)) }
    }
    stageView.tool = {
      down(point) {
        from = share(point)
      },
      move(point) {
        const { x, y, width, height } = rectangle(share(point))
        if (frame.current)
          frame.current.style.cssText = `left:${x * 100}%;top:${y * 100}%;width:${width * 100}%;height:${height * 100}%;visibility:visible`
      },
      up(point) {
        const drawn = rectangle(share(point))
        if (drawn.width > smallestRegion && drawn.height > smallestRegion) addRectangle(drawn)
        useWords.setState({ tool: { kind: 'view' }, tab: 'places' })
      },
    }
    return () => {
      stageView.tool = undefined
    }
  }, [])
  return (
    <div
      ref={frame}
      style={{ visibility: 'hidden' }}
      className="pointer-events-none absolute bg-white/10 shadow-[0_0_0_calc(1.5px*var(--unscale))_white]"
    />
  )
}
