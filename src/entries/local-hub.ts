/**
 * `xetkit/local-hub`: a real Hub and CAS over a folder, for work without the network, for tests and for demos.
 * @module
 */
export * from '../local-hub/start.ts';
