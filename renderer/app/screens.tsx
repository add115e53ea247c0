/** The screens of the left rail. A new one is a line here and a folder in features/. */
import { Box, GalleryHorizontalEnd, Grid3x3, type LucideIcon, Settings2, WandSparkles } from 'lucide-react'
import { type ComponentType, lazy } from 'react'
import { CreateScreen } from '../features/generate/create-screen.tsx'
import type { Strings } from '../strings/index.ts'

export interface Screen {
  readonly id: string
  readonly icon: LucideIcon
  label(strings: Strings): string
  /** Lazy where it is not the first that is seen. */
  readonly component: ComponentType
}

const gallery = lazy(() =>
  import('../features/gallery/gallery-screen.tsx').then(m => ({ default: m.GalleryScreen })),
)
const plot = lazy(() => import('../features/plot/plot-screen.tsx').then(m => ({ default: m.PlotScreen })))
const models = lazy(() =>
  import('../features/models/models-screen.tsx').then(m => ({ default: m.ModelsScreen })),
)
const settings = lazy(() =>
  import('../features/settings/settings-screen.tsx').then(m => ({ default: m.SettingsScreen })),
)

export const screens: readonly Screen[] = [
  { id: 'create', icon: WandSparkles, label: ({ app }) => app.create, component: CreateScreen },
  { id: 'gallery', icon: GalleryHorizontalEnd, label: ({ app }) => app.gallery, component: gallery },
  { id: 'plot', icon: Grid3x3, label: ({ plot }) => plot.title, component: plot },
  { id: 'models', icon: Box, label: ({ app }) => app.models, component: models },
  { id: 'settings', icon: Settings2, label: ({ app }) => app.settings, component: settings },
]
