import { Body, Controller, Inject, Param, Post } from '@nestjs/common';
import { Attempt, SendTest } from '@posthaste/contracts';
import { type Author, By, type Reach, Within } from '../access/principal.js';
import { Operation } from '../http/operation.js';
import { TestSends } from './test-sends.js';

@Controller('v1')
export class TestSendController {
  constructor(@Inject(TestSends) private readonly tests: TestSends) {}

  @Post('endpoints/:endpoint/test')
  @Operation({
    id: 'testEndpoint',
    tag: 'Endpoints',
    summary: 'Send a test message and wait for its outcome',
    description:
      'Sends one request as a real attempt would be, signed, with a message id of its own and the header ' +
      '`webhook-test: true`, and answers 200 with the attempt whatever came of it. It is not counted: it is in no ' +
      'list, is not retried and changes nothing, not even on 410. A disabled endpoint can be tested too. JSON is ' +
      'written anew, so the bytes may differ from those given in spacing and in the form of numbers.',
    access: ['tenant', 'account'],
    needs: 'endpoints:write',
    status: 200,
    answers: Attempt,
    optionalBody: true,
    problems: [413, 429],
  })
  async send(
    @By() author: Author,
    @Within() reach: Reach,
    @Param('endpoint') endpoint: string,
    @Body({ schema: SendTest.prefault({}) }) input: SendTest,
  ): Promise<Attempt> {
    return this.tests.send(author, reach, endpoint, input);
  }
}
