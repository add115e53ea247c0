/** The seed: a new one for each picture, or kept; rolled, typed, or taken from those before. */
import { Dices, History, Lock, LockOpen } from 'lucide-react'
import { rollSeed } from '../../app/actions.ts'
import { seedSchema } from '../../../model/contract/request.ts'
import { changeRequest, useRequest } from '../../state/request.ts'
import { useStrings } from '../../strings/index.ts'
import { IconButton } from '../../ui/button.tsx'
import { cx } from '../../ui/class-names.ts'
import { Popover, PopoverClose } from '../../ui/popover.tsx'
import { Row } from './row.tsx'

export function SeedField() {
  const { create } = useStrings()
  const seed = useRequest(state => state.draft.seed)
  const isLocked = useRequest(state => state.draft.seedLocked)
  const seeds = useRequest(state => state.seeds)
  const isValid = seedSchema.safeParse(seed).success
  return (
    <Row label={create.seed}>
      <div className="field flex h-8 w-full items-center pr-0.5">
        <input
          aria-label={create.seed}
          aria-invalid={!isValid}
          inputMode="numeric"
          value={seed}
          onChange={event => {
            const digits = event.target.value.replaceAll(/\D/g, '').slice(0, 20)
            changeRequest({ seed: digits || '0', seedLocked: true }, 'seed')
          }}
          className={cx(
            'numeric h-full w-full min-w-0 bg-transparent px-2 text-sm outline-none',
            isLocked ? 'text-text' : 'text-faint',
          )}
        />
        <IconButton
          label={isLocked ? create.seedLocked : create.seedUnlocked}
          pressed={isLocked}
          size="small"
          onClick={() => changeRequest({ seedLocked: !isLocked })}
        >
          {isLocked ? <Lock aria-hidden /> : <LockOpen aria-hidden />}
        </IconButton>
        <IconButton label={create.dice} keys="D" size="small" onClick={rollSeed}>
          <Dices aria-hidden />
        </IconButton>
        <Popover
          label={create.seedHistory}
          align="end"
          trigger={
            <button
              type="button"
              aria-label={create.seedHistory}
              className="grid size-6 shrink-0 place-items-center rounded-md text-soft hover:bg-raised hover:text-text"
            >
              <History className="size-3.5" aria-hidden />
            </button>
          }
        >
          {seeds.length === 0 ? (
            <p className="text-soft">{create.noSeeds}</p>
          ) : (
            <ul className="flex max-h-64 w-40 flex-col overflow-y-auto">
              {seeds.map(each => (
                <li key={each}>
                  <PopoverClose asChild>
                    <button
                      type="button"
                      onClick={() => changeRequest({ seed: each, seedLocked: true })}
                      className="numeric w-full rounded px-2 py-1 text-left hover:bg-accent-wash"
                    >
                      {each}
                    </button>
                  </PopoverClose>
                </li>
              ))}
            </ul>
          )}
        </Popover>
      </div>
    </Row>
  )
}
