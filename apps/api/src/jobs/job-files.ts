/** The files of a job: they must be there, be training data, and have no more bad lines than the job allows. */
import type { CreateJobBody, ProjectId } from '@rowsmith/contracts';
import type { FileRecord, FileStore } from '@rowsmith/core';
import { badPercentage } from '../files/file-object.js';
import { badRequest } from '../http/api-error.js';

export interface JobFiles {
  /** At least one. */
  readonly training: readonly { readonly file: FileRecord; readonly weight: number }[];
  readonly validation: FileRecord | null;
}

type Files = Pick<FileStore, 'get'>;

async function trainingData(files: Files, projectId: ProjectId, id: string, param: string, skip: number): Promise<FileRecord> {
  const file = await files.get(projectId, id);
  if (file === null) throw badRequest(`No such file: '${id}'.`, 'file_not_found', param);
  if (file.purpose !== 'fine-tune') {
    const message = `File ${id} has the purpose '${file.purpose}'; '${param}' must be uploaded with 'fine-tune'.`;
    throw badRequest(message, 'invalid_file_purpose', param);
  }
  const bad = badPercentage(file);
  if (bad > skip) {
    const message = `File ${id} has ${file.badLines} lines that cannot be trained on, ${bad.toFixed(2)} %; invalid_sample_skip_percentage allows ${skip}. GET /v1/files/${id}/report names them.`;
    throw badRequest(message, `invalid_${param.startsWith('validation') ? 'validation' : 'training'}_file`, param);
  }
  return file;
}

export async function filesOf(files: Files, projectId: ProjectId, body: CreateJobBody): Promise<JobFiles> {
  const skip = body.invalid_sample_skip_percentage ?? 0;
  const asked = body.training_files?.map(({ file, weight = 1 }, i) => ({ id: file, weight, param: `training_files[${i}].file` }));
  if (asked && body.training_file !== undefined) {
    throw badRequest("Give either 'training_file' or 'training_files', not both.", 'invalid_value', 'training_files');
  }
  if (!asked && body.training_file === undefined) {
    throw badRequest("Missing required parameter: 'training_file'.", 'missing_required_parameter', 'training_file');
  }
  if (asked && new Set(asked.map(({ id }) => id)).size < asked.length)
    throw badRequest("'training_files' names a file twice; give it a weight instead.", 'invalid_value', 'training_files');
  if (body.validation_file && body.validation_split) {
    throw badRequest("Give either 'validation_file' or 'validation_split', not both.", 'invalid_value', 'validation_split');
  }
  const wanted = asked ?? [{ id: body.training_file ?? '', weight: 1, param: 'training_file' }];
  const training: { file: FileRecord; weight: number }[] = [];
  for (const { id, weight, param } of wanted) training.push({ file: await trainingData(files, projectId, id, param, skip), weight });
  const validation = body.validation_file ? await trainingData(files, projectId, body.validation_file, 'validation_file', skip) : null;
  return { training, validation };
}
