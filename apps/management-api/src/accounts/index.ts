import { AccountRow } from './account.entity.js';
import { AccountsController } from './accounts.controller.js';

export const accounts = { controllers: [AccountsController], entities: [AccountRow] };
