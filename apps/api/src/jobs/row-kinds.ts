/** Rows must be of the kind that the model learns from: told before a job is queued, not by a trainer that has waited for its turn. */
import { isEncoder, type ProjectId } from '@rowsmith/contracts';
import type { FileRecord, FileStore } from '@rowsmith/core';
import { badRequest } from '../http/api-error.js';
import type { BaseModel } from '../models/base-models.js';
import type { JobFiles } from './job-files.js';

/** The field that says what a row is, by the names of packages/data. */
const fieldOf: Readonly<Record<string, string>> = {
  chat: 'messages',
  prompt_completion: 'completion',
  text: 'text',
  sharegpt: 'conversations',
  alpaca: 'instruction',
  classification: 'label',
};

/** ApiError 400 `invalid_training_file` or `invalid_validation_file` that names file, line and field. */
export async function checkRowKinds(
  files: Pick<FileStore, 'findings'>,
  projectId: ProjectId,
  model: BaseModel,
  { training, validation }: Pick<JobFiles, 'training' | 'validation'>,
): Promise<void> {
  const encoder = isEncoder(model.config);
  const wrong = ({ shape }: FileRecord) => shape !== null && (shape === 'classification') !== encoder;
  const at = training.findIndex(({ file }) => wrong(file));
  const found = training[at]?.file ?? (validation !== null && wrong(validation) ? validation : undefined);
  if (found === undefined) return;
  const param = found === validation ? 'validation_file' : training.length > 1 ? `training_files[${at}].file` : 'training_file';
  const line = (await files.findings(projectId, found.id))?.shape_line;
  const where = `File ${found.id} (${found.filename})${line ? `, line ${line}` : ''}`;
  const field = fieldOf[found.shape ?? ''] ?? found.shape;
  const message = encoder
    ? `${where}: a row with the field '${field}' and no 'label'. ${model.id} is a classifier: its rows are {"text", "label"}, with "text_pair" for two texts.`
    : `${where}: a row with the field '${field}', which trains a classifier. ${model.id} writes text: its rows have "messages", "prompt" and "completion", or "text".`;
  throw badRequest(message, `invalid_${found === validation ? 'validation' : 'training'}_file`, param);
}
