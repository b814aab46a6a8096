/** `model.layers.3.self_attn.q_proj`: layer and last name. */
const layerModule = /\.layers\.(\d+)\.(?:.+\.)?([^.]+)$/;

export interface PeftTargets {
  readonly layers_to_transform?: readonly number[];
  readonly target_modules: readonly string[];
}

/**
 * Which modules PEFT wraps. Short names (`q_proj`), because SGLang and LoRAX know no others; with `layers_to_transform` when the rows lie in some of the
 * model's layers only. Where not every target lies in every one of these, modules are named in full: PEFT would wrap too many and warn of missing keys.
 */
export function peftTargets(modules: readonly string[], modelLayers: number): PeftTargets {
  const parts = modules.map((name) => layerModule.exec(name));
  const layers = [...new Set(parts.map((part) => Number(part?.[1])))].sort((a, b) => a - b);
  const names = [...new Set(parts.map((part) => part?.[2] ?? ''))].sort();
  const rectangular = parts.every((part) => part !== null) && modules.length === layers.length * names.length;
  if (!rectangular) return { target_modules: [...modules].sort() };
  return layers.length === modelLayers ? { target_modules: names } : { layers_to_transform: layers, target_modules: names };
}
