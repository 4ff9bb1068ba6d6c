export { compatPlatform as uploadPlatform } from './platform.node.ts';
