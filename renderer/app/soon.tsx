/** A screen that is still being built. */
import { Hammer } from 'lucide-react'
import { useStrings } from '../strings/index.ts'
import { Empty } from '../ui/empty.tsx'

export function Soon() {
  const { app } = useStrings()
  return <Empty icon={<Hammer aria-hidden />} title={app.soon} />
}
