/** A page's side of the bridge: the envelopes become a `HostApi` again. For pages; the main process never loads it. */
import { AttuneError } from '../../model/contract/errors.ts'
import {
  errorRecordSchema,
  type HostApi,
  hostEventSchema,
  type HostMethod,
  hostMethods,
  type HostParams,
  type HostResult,
} from '../../model/contract/host-api.ts'
import type { AttuneBridge } from '../../model/contract/bridge.ts'

/** A page's `HostApi` over its bridge: checked again on arrival, errors with code, message and remedy. */
export function hostApiOfBridge(bridge: AttuneBridge): HostApi {
  return {
    async call<M extends HostMethod>(method: M, params: HostParams<M>): Promise<HostResult<M>> {
      const reply = await bridge.call(method, params)
      if (!reply.ok) {
        const { code, message, remedy } = errorRecordSchema.parse(reply.error)
        throw new AttuneError(code, message, remedy)
      }
      return hostMethods[method].result.parse(reply.value) as HostResult<M>
    },
    subscribe: listener =>
      bridge.subscribe(raw => {
        const event = hostEventSchema.safeParse(raw)
        if (event.success) listener(event.data)
      }),
  }
}
