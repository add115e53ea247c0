/** A screen that fails shows what happened and can be loaded again; the others go on. */
import { Component, type ErrorInfo, type ReactNode } from 'react'
import { callHost } from '../host/client.ts'
import { strings } from '../strings/index.ts'
import { Button } from '../ui/button.tsx'
import { Empty } from '../ui/empty.tsx'

export class ErrorBoundary extends Component<
  { readonly children: ReactNode },
  { readonly error: Error | undefined }
> {
  override state: { readonly error: Error | undefined } = { error: undefined }

  static getDerivedStateFromError(error: unknown) {
    return { error: error instanceof Error ? error : new Error(String(error)) }
  }

  override componentDidCatch(error: Error, { componentStack }: ErrorInfo): void {
    const message = `${error.stack ?? error.message}${componentStack ?? ''}`
    callHost('log.write', { level: 'error', message: message.slice(0, 20_000) }).catch(() => undefined)
  }

  override render(): ReactNode {
    const { error } = this.state
    if (!error) return this.props.children
    const { app } = strings()
    return (
      <Empty title={app.screenFailed}>
        <p>{app.screenFailedBody}</p>
        <p className="selectable my-3 font-mono text-xs">{error.message}</p>
        <Button onClick={() => this.setState({ error: undefined })}>{app.retry}</Button>
      </Empty>
    )
  }
}
