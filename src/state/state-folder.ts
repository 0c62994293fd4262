/** Names in a state folder, and the names of its errors. */

import { StreamError } from '../errors.ts';
import type { TaskId } from '../topology/types.ts';

const SAYS: Record<string, string> = {
  ENOSPC: 'the disk is full: free space there, or set STATE_DIR to a larger disk',
  EDQUOT: 'the quota is used up: free space there, or set STATE_DIR to another disk',
  EROFS: 'the file system is read-only: mount it writable, or set STATE_DIR to another folder',
  EACCES: 'this user may not write there: change its owner, or set STATE_DIR to another folder',
  EPERM: 'this user may not write there: change its owner, or set STATE_DIR to another folder',
  ENOTDIR: 'a part of the path is a file: set STATE_DIR to a folder',
  EEXIST: 'a part of the path is a file: set STATE_DIR to a folder',
  ENOENT: 'it cannot be created there: set STATE_DIR to another folder',
};

/** An error of the file system as `state_unwritable`; any other, and EEXIST of a segment file, as it is. */
export function unwritable(error: unknown, folder: string): unknown {
  const { code = '', syscall } = error as NodeJS.ErrnoException;
  if (!(code in SAYS) || (code === 'EEXIST' && syscall === 'open')) return error;
  return new StreamError('state_unwritable', `The state folder ${folder} cannot be written (${code}): ${SAYS[code]}.`, { cause: error });
}

/** Any text as a file name of its own: all but letters, digits, `_`, `-` and inner dots becomes %XX of its UTF-8. */
export const safeName = (text: string): string => {
  const escaped = [...new TextEncoder().encode(text)].map((byte, i) => {
    const char = String.fromCharCode(byte);
    return /[A-Za-z0-9_-]/.test(char) || (char === '.' && i > 0) ? char : `%${byte.toString(16).toUpperCase().padStart(2, '0')}`;
  });
  return escaped.join('');
};

/** Where a task's segments lie below the state folder. */
export const folderOf = ({ stage, topic, partition }: TaskId): string[] => [stage, safeName(topic), String(partition)];
