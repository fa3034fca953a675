"""Drives a server by the generated client: an account, a key, a set with its pictures, the declaration, a job."""

import hashlib
import pathlib
import sys

import httpx
from persguard_client import AuthenticatedClient, Client
from persguard_client.api.accounts import create_token, create_user, find_me
from persguard_client.api.jobs import cancel_job, create_job, create_preflight, list_jobs
from persguard_client.api.keys import create_api_key
from persguard_client.api.models import list_base_models
from persguard_client.api.sets import (
    complete_upload,
    create_set,
    create_upload,
    find_set,
    list_sets,
    seal_set,
)
from persguard_client.models import (
    Concept,
    CreateApiKey,
    CreateAttestation,
    CreateProtectedSet,
    CreateToken,
    CreateUpload,
    CreateUser,
    JobSpec,
    JobStatus,
    Problem,
    RightsBasis,
    Scope,
    SetStatus,
)

base, pictures = sys.argv[1], pathlib.Path(sys.argv[2])
email, password = "python@example.org", "correct horse battery"
stranger = Client(base_url=base)

refused = find_me.sync(client=stranger)
assert isinstance(refused, Problem) and refused.status == 401, refused

create_user.sync(client=stranger, body=CreateUser(email=email, password=password, name="Python"))
token = create_token.sync(client=stranger, body=CreateToken(email=email, password=password))
person = AuthenticatedClient(base_url=base, token=token.access_token)
scopes = [Scope.SETSREAD, Scope.SETSWRITE, Scope.JOBSRUN, Scope.JOBSCANCEL]
made = create_api_key.sync(client=person, body=CreateApiKey(name="Script", scopes=scopes))
client = AuthenticatedClient(base_url=base, token=made.secret)
assert find_me.sync(client=client).email == email

nameless = create_set.sync(client=client, body=CreateProtectedSet(name=" "))
assert isinstance(nameless, Problem) and nameless.errors[0].pointer == "#/name", nameless
protected = create_set.sync(client=client, body=CreateProtectedSet(name="Violet"))
for path in sorted(pictures.glob("*.png")):
    content = path.read_bytes()
    request = CreateUpload(
        protected_set_id=protected.id,
        filename=path.name,
        size_bytes=len(content),
        sha256=hashlib.sha256(content).hexdigest(),
        media_type="image/png",
    )
    upload = create_upload.sync(client=client, body=request)
    headers = upload.headers.to_dict() if upload.headers else {}
    httpx.put(httpx.URL(base).join(upload.url), content=content, headers=headers).raise_for_status()
    done = complete_upload.sync(client=client, id=upload.id)
    assert done.image.filename == path.name, done

declaration = CreateAttestation(
    basis=RightsBasis.OWN,
    name="Python Person",
    jurisdiction="Utopia",
    depicts_person=False,
    confirmed=True,
)
sealed = seal_set.sync(client=client, id=protected.id, body=declaration)
assert sealed.status == SetStatus.SEALED and len(sealed.images) == 5, sealed
assert find_set.sync(client=client, id=protected.id).manifest_sha256 == sealed.manifest_sha256
assert [one.id for one in list_sets.sync(client=client).data] == [protected.id]

model = list_base_models.sync(client=client).data[0]
concept = Concept.from_dict(
    {
        "protected_set_id": protected.id,
        "class_name": "dog",
        "identifier": "sks",
        "objective": {"kind": "target", "target_class": "apple"},
    }
)
spec = JobSpec(base_model_id=model.id, concepts=[concept])
preflight = create_preflight.sync(client=client, body=spec)
assert preflight.ready, preflight
assert list_jobs.sync(client=client, limit=5).data == []

job = create_job.sync(client=client, body=spec, idempotency_key="once")
again = create_job.sync(client=client, body=spec, idempotency_key="once")
assert again.id == job.id and job.status == JobStatus.QUEUED, (job, again)
ended = cancel_job.sync(client=client, id=job.id)
assert ended.status == JobStatus.CANCELED, ended
assert [one.id for one in list_jobs.sync(client=client).data] == [job.id]
print(f"python_client=ok pictures={len(sealed.images)}")
