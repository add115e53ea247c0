/** Width and height: shapes to choose from, numbers to type, on the model's grid. */
import { ArrowLeftRight } from 'lucide-react'
import { sidesOf } from '../../engine/sizes.ts'
import { useEngine } from '../../state/engine.ts'
import { changeRequest, useRequest } from '../../state/request.ts'
import { useStrings } from '../../strings/index.ts'
import { IconButton } from '../../ui/button.tsx'
import { NumberField } from '../../ui/number-field.tsx'
import { Segmented } from '../../ui/segmented.tsx'
import { Row } from './row.tsx'

const shapes = ['square', 'landscape', 'wide', 'portrait', 'tall'] as const
type Shape = (typeof shapes)[number]
const ratios: Readonly<Record<Shape, number>> = {
  square: 1,
  landscape: 4 / 3,
  wide: 16 / 9,
  portrait: 3 / 4,
  tall: 9 / 16,
}

export function SizeField() {
  const { create } = useStrings()
  const model = useEngine(state => state.model)
  const chosen = useRequest(state => state.draft)
  const factor = model?.sizeFactor ?? 8
  const base = { width: model?.defaults.width ?? 256, height: model?.defaults.height ?? 256 }
  const width = chosen.width ?? base.width
  const height = chosen.height ?? base.height
  const area = base.width * base.height
  const shape = shapes.find(each => {
    const sides = sidesOf(ratios[each], area, factor)
    return sides.width === width && sides.height === height
  })
  const isDefault = chosen.width === undefined && chosen.height === undefined
  return (
    <Row label={create.size} reset={!isDefault && { width: undefined, height: undefined }}>
      <div className="flex w-full flex-col gap-2">
        <Segmented
          label={create.size}
          value={shape}
          options={shapes.map(value => ({
            value,
            label: create[value],
            icon: <Frame ratio={ratios[value]} />,
          }))}
          onChange={value => changeRequest(sidesOf(ratios[value], area, factor))}
        />
        <div className="flex items-center gap-1" title={create.mustBeMultiple(factor)}>
          <NumberField
            label={create.width}
            prefix={create.widthShort}
            value={width}
            min={factor}
            max={4096}
            step={factor}
            isDefault={isDefault}
            className="min-w-0 grow"
            onChange={value => changeRequest({ width: value, height }, 'size')}
          />
          <IconButton
            label={create.swapSides}
            onClick={() => changeRequest({ width: height, height: width })}
          >
            <ArrowLeftRight aria-hidden />
          </IconButton>
          <NumberField
            label={create.height}
            prefix={create.heightShort}
            value={height}
            min={factor}
            max={4096}
            step={factor}
            isDefault={isDefault}
            className="min-w-0 grow"
            onChange={value => changeRequest({ width, height: value }, 'size')}
          />
        </div>
      </div>
    </Row>
  )
}

/** A small frame of a shape. */
function Frame({ ratio }: { readonly ratio: number }) {
  const [width, height] = ratio >= 1 ? [14, 14 / ratio] : [14 * ratio, 14]
  return (
    <span
      aria-hidden
      className="block rounded-[2px] border-[1.5px] border-current"
      style={{ width, height }}
    />
  )
}
