/** Whether a variable of the environment says yes, in any of the ways that Hub clients understand. */
export function saysYes(name: string, env: NodeJS.ProcessEnv = process.env): boolean {
  return /^(?:1|on|yes|true)$/i.test(env[name] ?? '');
}

/** Whether the environment forbids to ask servers. */
export function isOffline(env: NodeJS.ProcessEnv = process.env): boolean {
  return saysYes('HF_HUB_OFFLINE', env) || saysYes('TRANSFORMERS_OFFLINE', env);
}
