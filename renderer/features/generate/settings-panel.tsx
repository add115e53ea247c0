/** Size, steps, guidance, sampler, seed: few, quiet, each with the model's own value until the person chooses. */
import { type Sampler, samplers } from '../../../model/contract/request.ts'
import { useEngine } from '../../state/engine.ts'
import { changeRequest, useRequest } from '../../state/request.ts'
import { useStrings } from '../../strings/index.ts'
import { NumberField } from '../../ui/number-field.tsx'
import { Select } from '../../ui/select.tsx'
import { Slider } from '../../ui/slider.tsx'
import { Row } from './row.tsx'
import { SeedField } from './seed-field.tsx'
import { SizeField } from './size-field.tsx'

/** Names as people know them from other programs. */
export const samplerNames: Readonly<Record<Sampler, string>> = {
  ddim: 'DDIM',
  euler: 'Euler',
  euler_a: 'Euler a',
  heun: 'Heun',
  dpmpp_2m: 'DPM++ 2M',
  dpmpp_2m_karras: 'DPM++ 2M Karras',
  dpmpp_sde: 'DPM++ SDE',
  unipc: 'UniPC',
  lcm: 'LCM',
}

export function SettingsPanel() {
  const { create } = useStrings()
  const request = useRequest(state => state.draft)
  const defaults = useEngine(state => state.model?.defaults)
  const steps = request.steps ?? defaults?.steps ?? 12
  const guidance = request.guidanceScale ?? defaults?.guidanceScale ?? 4
  const sampler = request.sampler ?? defaults?.sampler ?? 'ddim'
  return (
    <div className="flex flex-col gap-4">
      <SizeField />
      <Row label={create.steps} reset={request.steps !== undefined && { steps: undefined }}>
        <Slider
          label={create.steps}
          value={Math.min(60, steps)}
          min={1}
          max={60}
          step={1}
          onChange={value => changeRequest({ steps: value }, 'steps')}
        />
        <NumberField
          label={create.steps}
          value={steps}
          min={1}
          max={1000}
          step={1}
          isDefault={request.steps === undefined}
          className="w-14 shrink-0"
          onChange={value => changeRequest({ steps: value }, 'steps')}
        />
      </Row>
      <Row
        label={create.guidance}
        hint={create.guidanceHint}
        reset={request.guidanceScale !== undefined && { guidanceScale: undefined }}
      >
        <Slider
          label={create.guidance}
          value={Math.min(20, guidance)}
          min={1}
          max={20}
          step={0.5}
          onChange={value => changeRequest({ guidanceScale: value }, 'guidance')}
        />
        <NumberField
          label={create.guidance}
          value={guidance}
          min={0}
          max={100}
          step={0.5}
          digits={1}
          isDefault={request.guidanceScale === undefined}
          className="w-14 shrink-0"
          onChange={value => changeRequest({ guidanceScale: value }, 'guidance')}
        />
      </Row>
      <Row label={create.sampler} reset={request.sampler !== undefined && { sampler: undefined }}>
        <Select
          label={create.sampler}
          value={sampler}
          options={samplers.map(value => ({ value, label: samplerNames[value] }))}
          onChange={value => changeRequest({ sampler: value })}
        />
      </Row>
      <SeedField />
    </div>
  )
}
