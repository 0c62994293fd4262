/** Compiles native/*.ts into code in src: `npm run build:native`. A test compiles them too, and tells where the code is another. */
import { writeFileSync } from 'node:fs';
import { codeFile, compile, NATIVE, pathOf } from './compile-native.ts';

for (const native of NATIVE) writeFileSync(pathOf(native.code), codeFile(native, await compile(native.source)));
