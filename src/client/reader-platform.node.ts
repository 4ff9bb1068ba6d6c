export { platform as readerPlatform } from './platform.node.ts';
