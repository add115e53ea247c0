/**
 * Where words and regions are placed, over the picture: the painted mask of a word while its brush is out, and regions.
 * A stroke is drawn on the canvas at once and goes into the request when the pointer lets go.
 */
import { useMemo } from 'react'
import { emptyMask, fromControlMask, type Mask, toControlMask } from '../../state/masks.ts'
import { changeRequest, draft, useRequest } from '../../state/request.ts'
import { useWords } from '../../state/words.ts'
import { useStrings } from '../../strings/index.ts'
import { BrushCanvas } from '../../ui/brush-canvas.tsx'
import { RegionLayer } from '../regions/region-layer.tsx'
import { stageView } from './stage-view.ts'

const paintColour = [255, 157, 110] as const

export function PaintLayer() {
  const tool = useWords(state => state.tool)
  const showsRegions = useWords(
    ({ tab, tool: { kind } }) => kind !== 'inpaint' && (tab === 'places' || kind !== 'view'),
  )
  return (
    <>
      {tool.kind === 'paint' && <WordBrush index={tool.index} key={tool.index} />}
      {showsRegions && <RegionLayer />}
    </>
  )
}

function WordBrush({ index }: { readonly index: number }) {
  const { attention } = useStrings()
  const tool = useWords(state => state.tool)
  const stored = useRequest(state => state.draft.paint[index]?.mask)
  const mask = useMemo((): Mask => {
    const { width, height } = stageView.size
    return stored ? fromControlMask(stored, width, height) : emptyMask(width, height)
  }, [stored])
  if (tool.kind !== 'paint') return null
  const { size, erase } = tool
  const commit = (next: Mask) => {
    const { paint } = draft()
    if (!paint[index]) return
    const stroked = toControlMask(next)
    changeRequest({ paint: paint.map((each, at) => (at === index ? { ...each, mask: stroked } : each)) })
  }
  return (
    <BrushCanvas
      label={attention.paintHelp}
      surface={stageView}
      mask={mask}
      brush={{ size, erase, softness: 1 / 3 }}
      colour={paintColour}
      onBrush={({ size: nextSize = size, erase: nextErase = erase }) =>
        useWords.setState({ tool: { ...tool, size: nextSize, erase: nextErase } })
      }
      onStroke={commit}
      onLeave={() => useWords.setState({ tool: { kind: 'view' } })}
    />
  )
}

/** Takes the brush for a word; its place is made when there is none yet. */
export function paintWord(phrase: string): void {
  const { paint } = draft()
  let index = paint.findIndex(each => each.phrase.toLowerCase() === phrase.toLowerCase())
  if (index < 0) {
    index = paint.length
    const mask = toControlMask(emptyMask(stageView.size.width, stageView.size.height))
    const place = {
      phrase,
      mask,
      strength: 3,
      law: 'constant',
      feather: 0.04,
      window: { start: 0, end: 1 },
    } as const
    changeRequest({ paint: [...paint, place] })
  }
  useWords.setState({ tool: { kind: 'paint', index, erase: false, size: 0.14 }, tab: 'places' })
}
