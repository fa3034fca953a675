//! Buckets as folders, with what `s3s-fs` lacks or gets wrong: unfinished uploads are listed, an unknown upload is
//! called so, two completes wait for each other, and refused or removed objects leave nothing behind.

use std::{
    fs,
    future::Future,
    path::{Path, PathBuf},
    pin::Pin,
};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use s3s::{
    S3, S3ErrorCode, S3Request, S3Response, S3Result,
    crypto::{Checksum, Md5},
    dto::{
        AbortMultipartUploadInput, AbortMultipartUploadOutput, CompleteMultipartUploadInput,
        CompleteMultipartUploadOutput, CopyObjectInput, CopyObjectOutput,
        CreateMultipartUploadInput, CreateMultipartUploadOutput, DeleteObjectInput,
        DeleteObjectOutput, ETag, GetObjectInput, GetObjectOutput, HeadObjectInput,
        HeadObjectOutput, ListMultipartUploadsInput, ListMultipartUploadsOutput,
        ListObjectsV2Input, ListObjectsV2Output, ListPartsInput, ListPartsOutput, MultipartUpload,
        PutObjectInput, PutObjectOutput, Timestamp, UploadPartCopyInput, UploadPartCopyOutput,
        UploadPartInput, UploadPartOutput,
    },
    s3_error,
};
use s3s_fs::FileSystem;
use tokio::sync::Mutex;

pub(crate) struct Files {
    inner: FileSystem,
    root: PathBuf,
    completing: Mutex<()>,
}

type Answer<'a, T> = Pin<Box<dyn Future<Output = S3Result<S3Response<T>>> + Send + 'a>>;

/// Hands operations on as they are.
macro_rules! hand_on {
    ($($name:ident: $input:ident => $output:ident),* $(,)?) => {
        $(fn $name<'life0, 'async_trait>(
            &'life0 self,
            request: S3Request<$input>,
        ) -> Answer<'async_trait, $output>
        where
            'life0: 'async_trait,
            Self: 'async_trait,
        {
            self.inner.$name(request)
        })*
    };
}

impl Files {
    pub(crate) fn new(root: &Path) -> Self {
        Self {
            inner: FileSystem::new(root).expect("the root exists"),
            root: root.to_owned(),
            completing: Mutex::new(()),
        }
    }

    fn knows(&self, upload: &str) -> S3Result<()> {
        if self.root.join(format!(".upload-{upload}.json")).exists() {
            return Ok(());
        }
        Err(s3_error!(NoSuchUpload))
    }

    /// The tag that a part got when it came: `s3s-fs` lists parts without theirs.
    fn tag(&self, upload: &str, part: i32) -> Option<ETag> {
        let path = format!(".upload_id-{upload}.part-{part}");
        let mut digest = Md5::new();
        digest.update(&fs::read(self.root.join(path)).ok()?);
        Some(ETag::Strong(hex::encode(digest.finalize())))
    }

    /// What is kept beside an object.
    fn forget(&self, bucket: &str, key: &str) {
        let encode = |text: &str| URL_SAFE_NO_PAD.encode(text);
        let stem = format!(".bucket-{}.object-{}", encode(bucket), encode(key));
        for end in ["internal", "metadata"] {
            let _ = fs::remove_file(self.root.join(format!("{stem}.{end}.json")));
        }
    }

    fn uploads(&self, bucket: &str, prefix: &str) -> Vec<MultipartUpload> {
        let start = format!(".bucket-{}.object-", URL_SAFE_NO_PAD.encode(bucket));
        let entries = fs::read_dir(&self.root).expect("the root exists");
        let upload = |entry: fs::DirEntry| {
            let name = entry.file_name().into_string().ok()?;
            let rest = name.strip_prefix(&start)?;
            let rest = rest.strip_suffix(".metadata.json")?;
            let (key, id) = rest.split_once(".upload-")?;
            let key = String::from_utf8(URL_SAFE_NO_PAD.decode(key).ok()?).ok()?;
            self.knows(id).ok()?;
            let begun = entry.metadata().ok()?.modified().ok()?;
            key.starts_with(prefix).then(|| MultipartUpload {
                initiated: Some(Timestamp::from(begun)),
                key: Some(key),
                upload_id: Some(id.to_owned()),
                ..MultipartUpload::default()
            })
        };
        entries.filter_map(Result::ok).filter_map(upload).collect()
    }

    async fn put(
        &self,
        request: S3Request<PutObjectInput>,
    ) -> S3Result<S3Response<PutObjectOutput>> {
        let (bucket, key) = (request.input.bucket.clone(), request.input.key.clone());
        if !self.root.join(&bucket).is_dir() {
            return Err(s3_error!(NoSuchBucket));
        }
        let answer = self.inner.put_object(request).await;
        let refused = answer.as_ref().err();
        if refused.is_some_and(|error| *error.code() == S3ErrorCode::BadDigest) {
            let _ = fs::remove_file(self.root.join(&bucket).join(&key));
        }
        answer
    }

    async fn delete(
        &self,
        request: S3Request<DeleteObjectInput>,
    ) -> S3Result<S3Response<DeleteObjectOutput>> {
        let (bucket, key) = (request.input.bucket.clone(), request.input.key.clone());
        let answer = self.inner.delete_object(request).await?;
        self.forget(&bucket, &key);
        Ok(answer)
    }

    async fn complete(
        &self,
        request: S3Request<CompleteMultipartUploadInput>,
    ) -> S3Result<S3Response<CompleteMultipartUploadOutput>> {
        let _one = self.completing.lock().await;
        self.knows(&request.input.upload_id)?;
        self.forget(&request.input.bucket, &request.input.key);
        self.inner.complete_multipart_upload(request).await
    }

    fn list(&self, input: &ListMultipartUploadsInput) -> S3Result<ListMultipartUploadsOutput> {
        if !self.root.join(&input.bucket).is_dir() {
            return Err(s3_error!(NoSuchBucket));
        }
        let prefix = input.prefix.as_deref().unwrap_or_default();
        Ok(ListMultipartUploadsOutput {
            uploads: Some(self.uploads(&input.bucket, prefix)),
            is_truncated: Some(false),
            ..ListMultipartUploadsOutput::default()
        })
    }
}

impl S3 for Files {
    hand_on! {
        copy_object: CopyObjectInput => CopyObjectOutput,
        create_multipart_upload: CreateMultipartUploadInput => CreateMultipartUploadOutput,
        get_object: GetObjectInput => GetObjectOutput,
        head_object: HeadObjectInput => HeadObjectOutput,
        list_objects_v2: ListObjectsV2Input => ListObjectsV2Output,
        upload_part_copy: UploadPartCopyInput => UploadPartCopyOutput,
    }

    fn put_object<'life0, 'async_trait>(
        &'life0 self,
        request: S3Request<PutObjectInput>,
    ) -> Answer<'async_trait, PutObjectOutput>
    where
        'life0: 'async_trait,
        Self: 'async_trait,
    {
        Box::pin(self.put(request))
    }

    fn delete_object<'life0, 'async_trait>(
        &'life0 self,
        request: S3Request<DeleteObjectInput>,
    ) -> Answer<'async_trait, DeleteObjectOutput>
    where
        'life0: 'async_trait,
        Self: 'async_trait,
    {
        Box::pin(self.delete(request))
    }

    fn complete_multipart_upload<'life0, 'async_trait>(
        &'life0 self,
        request: S3Request<CompleteMultipartUploadInput>,
    ) -> Answer<'async_trait, CompleteMultipartUploadOutput>
    where
        'life0: 'async_trait,
        Self: 'async_trait,
    {
        Box::pin(self.complete(request))
    }

    fn upload_part<'life0, 'async_trait>(
        &'life0 self,
        request: S3Request<UploadPartInput>,
    ) -> Answer<'async_trait, UploadPartOutput>
    where
        'life0: 'async_trait,
        Self: 'async_trait,
    {
        Box::pin(async move {
            self.knows(&request.input.upload_id)?;
            self.inner.upload_part(request).await
        })
    }

    fn list_parts<'life0, 'async_trait>(
        &'life0 self,
        request: S3Request<ListPartsInput>,
    ) -> Answer<'async_trait, ListPartsOutput>
    where
        'life0: 'async_trait,
        Self: 'async_trait,
    {
        Box::pin(async move {
            let upload = request.input.upload_id.clone();
            self.knows(&upload)?;
            let mut answer = self.inner.list_parts(request).await?;
            for part in answer.output.parts.iter_mut().flatten() {
                part.e_tag = self.tag(&upload, part.part_number.unwrap_or_default());
            }
            Ok(answer)
        })
    }

    fn abort_multipart_upload<'life0, 'async_trait>(
        &'life0 self,
        request: S3Request<AbortMultipartUploadInput>,
    ) -> Answer<'async_trait, AbortMultipartUploadOutput>
    where
        'life0: 'async_trait,
        Self: 'async_trait,
    {
        Box::pin(async move {
            self.knows(&request.input.upload_id)?;
            self.inner.abort_multipart_upload(request).await
        })
    }

    fn list_multipart_uploads<'life0, 'async_trait>(
        &'life0 self,
        request: S3Request<ListMultipartUploadsInput>,
    ) -> Answer<'async_trait, ListMultipartUploadsOutput>
    where
        'life0: 'async_trait,
        Self: 'async_trait,
    {
        Box::pin(async move { self.list(&request.input).map(S3Response::new) })
    }
}
