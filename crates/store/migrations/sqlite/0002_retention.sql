-- What is deleted by its age is found by its age: texts and stored responses.

CREATE INDEX payloads_at ON payloads (at);
CREATE INDEX responses_expires ON responses (expires);
