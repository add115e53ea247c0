/** Layers by heads of one word: which part of the network looks where. Pointing at one shows it on the picture. */
import { useMemo } from 'react'
import { type CapturedAttention, headsOf } from '../../engine/attention.ts'
import { thumbnailOf } from '../../engine/heat.ts'
import { useWords } from '../../state/words.ts'
import { useStrings } from '../../strings/index.ts'
import { PixelCanvas } from '../../ui/pixel-canvas.tsx'

const side = 28

/** `down 0·1`: which block, and which of its layers. */
function shortName(path: string): string {
  const found = /(down|up|mid)_block(?:s\.(\d+))?\.attentions\.(\d+)/.exec(path)
  return found ? `${found[1]}${found[2] ? ` ${found[2]}` : ''}·${found[3]}` : path
}

/** Shows one layer or head on the picture. */
function look(path: string, head: number | undefined): void {
  useWords.setState({ source: { path, head } })
}

export function LayerGrid({
  captured,
  word,
}: {
  readonly captured: CapturedAttention
  readonly word: number
}) {
  const { attention } = useStrings()
  const colormap = useWords(state => state.colormap)
  const source = useWords(state => state.source)
  const layers = useMemo(
    () =>
      headsOf(captured, word).map(layer => ({
        ...layer,
        cells: layer.heads.map(map => () => thumbnailOf(map, side, colormap)),
      })),
    [captured, word, colormap],
  )
  return (
    <div className="pt-1 pb-2" onPointerLeave={() => useWords.setState({ source: undefined })}>
      <p className="label mb-1">{attention.layers}</p>
      <p className="mb-2 text-xs text-faint">{attention.layersHint}</p>
      <div className="flex flex-col gap-1">
        {layers.map(({ path, width, height, cells }) => (
          <div key={path} className="flex items-center gap-1">
            <button
              type="button"
              title={path}
              aria-label={`${attention.layer(path, `${width} × ${height}`)}, ${attention.allHeads}`}
              onPointerEnter={() => look(path, undefined)}
              onFocus={() => look(path, undefined)}
              className="w-14 shrink-0 truncate rounded text-left text-2xs text-soft hover:text-text"
            >
              {shortName(path)}
            </button>
            <div className="grid grow grid-cols-8 gap-0.5">
              {cells.map((data, head) => (
                <button
                  key={head}
                  type="button"
                  aria-label={`${shortName(path)}, ${attention.head(head)}`}
                  aria-pressed={source?.path === path && source.head === head}
                  onPointerEnter={() => look(path, head)}
                  onFocus={() => look(path, head)}
                  className="aspect-square max-w-7 overflow-hidden rounded-[3px] aria-pressed:shadow-[0_0_0_2px_var(--accent)]"
                >
                  <PixelCanvas data={data} className="size-full" />
                </button>
              ))}
            </div>
          </div>
        ))}
      </div>
    </div>
  )
}
