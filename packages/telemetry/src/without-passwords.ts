/** Passwords in URLs, wherever they stand in an error's text: `scheme://user:password@host`. */
export const withoutPasswords = (text: string): string => text.replace(/([a-z][a-z0-9+.-]*:\/\/[^\s:/@]*):[^\s@/]*@/gi, '$1:***@');
